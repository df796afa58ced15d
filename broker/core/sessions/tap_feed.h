#ifndef FIFOBUS_BROKER_CORE_SESSIONS_TAP_FEED_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_TAP_FEED_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "broker/base/sparse_log.h"
#include "broker/core/routing/router.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/feed.h"

namespace fifobus {

namespace pb::state {
class TapIn;
}  // namespace pb::state

// What is written to a topic's `.in`: each line is one message. The broker
// makes the frames, numbers them and stamps the time, as a publisher would.
//
// While the topic has no subscriber, no history and no log, lines wait in the
// pipe, as in a bare FIFO. Once the pipe is half full they are read and counted as
// undeliverable, so that writers never block for ever. A line longer than
// tap_line_bytes_max is refused.
//
// Worker-affine.
class TapFeed : public Feed {
 public:
  // `before_routing` runs after bytes were read and before they are routed, so
  // that a subscriber whose FIFO was made before the write is known by then.
  // `owner` is the owner of the FIFO; the writers' users are not known.
  TapFeed(std::string topic, uint32_t owner, const BrokerOptions& options,
          Router& router, Counters& counters,
          std::function<void()> before_routing);

  // The valve of `.in`. Before the first byte.
  void SetValve(std::shared_ptr<Valve> valve) { valve_ = std::move(valve); }

  Admission Admit(size_t unread_bytes, size_t pipe_bytes) override;
  FeedResult OnBytes(const ChunkRef& chunk, std::string_view bytes) override;
  // Without a newline the last line of a writer that has left ends there.
  void OnWritersLeft(size_t unread_bytes) override;
  // An unterminated rest is a message too. The pipe stays.
  FeedOutcome OnHangUp(std::string_view rest) override;
  void OnHalfReceivedLimit() override {}

  // For an upgrade: all but the pipe. `rest_bytes`: what of the pipe was read
  // and not taken. Restored before the first byte.
  void Export(pb::state::TapIn& state) const;
  void Restore(const pb::state::TapIn& state, size_t rest_bytes);

  const std::string& topic() const { return topic_; }
  uint32_t owner() const { return owner_; }
  // How many lines it has published.
  uint64_t lines() const { return sequence_; }

 private:
  // Publishes the lines that end in `bytes`. Returns how many bytes were taken.
  size_t TakeLines(std::string_view bytes);
  // Publishes the last line of a writer, without a newline; empty: none.
  void TakeLast(std::string_view rest);
  // So many more bytes have been dealt with.
  void Advance(size_t bytes);
  void PublishLines(std::string_view lines);
  void AppendLine(std::string_view line, uint64_t now_unix_nanos);
  void Route();
  void RefuseLine(std::string_view reason);
  // Counts the lines that were refused since the last time for the topic.
  void CountRefused();

  const std::string topic_;
  const uint32_t owner_;
  const size_t line_bytes_max_;
  Router& router_;
  Counters& counters_;
  const std::function<void()> before_routing_;
  std::shared_ptr<Valve> valve_;
  uint64_t sequence_ = 0;
  // All bytes that were dealt with, and those that came behind them.
  uint64_t position_ = 0;
  size_t rest_bytes_ = 0;
  // Positions at which writers had ended when they left, in order. Bounded by
  // the bytes of a pipe that rests, which is half full at most.
  std::deque<uint64_t> writers_ends_;
  // A line was refused and its end has not come yet.
  bool skipping_ = false;
  SparseLog refused_lines_;
  uint64_t refused_ = 0;  // and not yet counted for the topic
  std::string frames_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_TAP_FEED_H_
