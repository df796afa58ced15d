#ifndef FIFOBUS_BROKER_BUS_TAP_ENDS_H_
#define FIFOBUS_BROKER_BUS_TAP_ENDS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/bus_parts.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/sessions/tap_feed.h"
#include "broker/io/egress_pipe.h"
#include "broker/io/ingress_pipe.h"
#include "broker/io/name_state.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/broker_state.pb.h"

namespace fifobus {

// Why a tap is refused that the rules do not allow.
inline constexpr char kTapDenied[] =
    "the configuration does not let its owner subscribe to this topic";

// A topic's `.in`: its pipe tied to its feed. Worker-affine.
class TapIn {
 public:
  // `on_closed` runs once, when the pipe is closed.
  static absl::StatusOr<std::unique_ptr<TapIn>> Open(
      const std::string& topic, BusParts& parts, Worker& worker, UniqueFd fd,
      std::function<void()> before_routing, std::function<void()> on_closed);
  // One of a broker before, with its pipe.
  static absl::StatusOr<std::unique_ptr<TapIn>> Restore(
      const pb::state::TapIn& state, const StateChunks& chunks, BusParts& parts,
      Worker& worker, std::function<void()> before_routing,
      std::function<void()> on_closed);
  // REQUIRES: it has not finished.
  void Export(StateChunks& chunks, pb::state::TapIn& state) const;
  const std::shared_ptr<IngressPipe>& pipe() const { return pipe_; }
  // Never destroyed by a call from its own feed: see TapSet.
  ~TapIn();

  const std::string& topic() const { return feed_.topic(); }
  const FileIdentity& identity() const { return identity_; }

  // The topic may have a subscriber now.
  void Nudge() { pipe_->Nudge(); }
  // Takes what is in the pipe, then closes.
  void Finish();
  // The same, but lines without a subscriber are left in a pipe that somebody
  // else holds open: they are there for the next broker.
  void FinishOrLeave();
  void Close() { pipe_->Close(); }
  bool finished() const { return is_left_ || pipe_->closed(); }

  bool is_left() const { return is_left_; }
  size_t unread_bytes() const { return pipe_->unread_bytes(); }
  // Lines that Finish has taken though the topic had no subscriber.
  uint64_t unclaimed_lines() const {
    return finishing_unclaimed_ ? feed_.lines() - lines_before_ : 0;
  }

 private:
  TapIn(const std::string& topic, BusParts& parts, Worker& worker, int fd,
        std::function<void()> before_routing);
  bool IsClaimed();

  Router& router_;
  const FileIdentity identity_;
  TapFeed feed_;
  std::shared_ptr<IngressPipe> pipe_;
  bool is_left_ = false;
  bool finishing_unclaimed_ = false;
  uint64_t lines_before_ = 0;
};

// A FIFO in a topic's `.out/`: a subscription from mkfifo until rm, which begins
// with what is retained. While nobody reads the FIFO, the queue keeps the newest
// messages. Worker-affine, but for egress().
class TapOut {
 public:
  enum class Stream {
    kNew,
    kGoesOn,  // after a broker that died, to the same reader
  };
  // `name` is the FIFO's path below topics/; its suffix says what is written.
  static absl::StatusOr<std::unique_ptr<TapOut>> Open(
      const std::string& topic, const std::string& name, BusParts& parts,
      Worker& worker, UniqueFd fd, Stream stream);
  // One of a broker before, with its pipe and its queue. Nothing is said in it.
  static absl::StatusOr<std::unique_ptr<TapOut>> Restore(
      const pb::state::TapOut& state, const StateChunks& chunks,
      StateIngresses& ingresses, BusParts& parts, Worker& worker);
  void Export(StateChunks& chunks, const StateIngresses& ingresses,
              pb::state::TapOut& state) const;
  ~TapOut();

  // Somebody opened the FIFO.
  void OnOpened();

  const std::shared_ptr<Egress>& egress() const { return egress_; }
  const std::string& topic() const { return topic_; }
  const FileIdentity& identity() const { return identity_; }
  uint32_t owner() const { return owner_; }

  // How many messages end with this tap, because it has no reader: those in its
  // queue, and those in the pipe, which are taken out of it.
  uint64_t TakeUnread();

  // Whether the rules in force let the FIFO's owner have the topic.
  bool IsAllowed() const;

 private:
  TapOut(const std::string& topic, const std::string& name, BusParts& parts,
         Worker& worker, UniqueFd fd, uint32_t egress_id);

  void OnNoReader();
  void GoOn();

  const std::string topic_;
  const FileIdentity identity_;
  const uint32_t owner_;
  BusParts& parts_;
  const std::shared_ptr<EgressPipe> pipe_;
  const std::shared_ptr<Egress> egress_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_TAP_ENDS_H_
