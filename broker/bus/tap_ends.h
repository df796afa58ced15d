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

namespace fifobus {

// A topic's `.in`: its pipe tied to its feed. Worker-affine.
class TapIn {
 public:
  static absl::StatusOr<std::unique_ptr<TapIn>> Open(
      const std::string& topic, BusParts& parts, Worker& worker, UniqueFd fd,
      std::function<void()> before_routing);
  // Never destroyed by a call from its own feed: see TapTree.
  ~TapIn();

  const std::string& topic() const { return feed_.topic(); }

  // The topic may have a subscriber now.
  void Nudge() { pipe_->Nudge(); }
  // Takes what is in the pipe, then closes.
  void Finish() { pipe_->FinishAndClose(); }
  bool finished() const { return pipe_->closed(); }

 private:
  TapIn(const std::string& topic, uint32_t owner, BusParts& parts,
        Worker& worker, std::function<void()> before_routing);

  TapFeed feed_;
  std::shared_ptr<IngressPipe> pipe_;
};

// A FIFO in a topic's `.out/`: a subscription from mkfifo until rm, which begins
// with what is retained. While nobody reads the FIFO, the queue keeps the newest
// messages. Worker-affine, but for egress().
class TapOut {
 public:
  // `name` is the FIFO's path below topics/; its suffix says what is written.
  static absl::StatusOr<std::unique_ptr<TapOut>> Open(const std::string& topic,
                                                      const std::string& name,
                                                      BusParts& parts,
                                                      Worker& worker,
                                                      UniqueFd fd);
  ~TapOut();

  // Somebody opened the FIFO.
  void OnOpened();

  const std::shared_ptr<Egress>& egress() const { return egress_; }
  const std::string& topic() const { return topic_; }
  // Whether the rules in force let the FIFO's owner have the topic.
  bool IsAllowed() const;

 private:
  TapOut(const std::string& topic, const std::string& name, BusParts& parts,
         Worker& worker, UniqueFd fd);

  void OnNoReader();

  const std::string topic_;
  const uint32_t owner_;
  BusParts& parts_;
  const std::shared_ptr<EgressPipe> pipe_;
  const std::shared_ptr<Egress> egress_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_TAP_ENDS_H_
