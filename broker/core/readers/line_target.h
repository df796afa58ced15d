#ifndef FIFOBUS_BROKER_CORE_READERS_LINE_TARGET_H_
#define FIFOBUS_BROKER_CORE_READERS_LINE_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/core/readers/log_target.h"
#include "broker/counters.h"
#include "broker/seam/sink.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// Where a cursor puts messages as lines: the payload and a newline each. It
// knows where in the pipe each of them ends, and so which of them a reader has
// taken out of it. Gaps are not written. A message that has expired is taken
// and not written.
//
// Worker-affine. Invariant: all lines that were taken and not read are in the
// pipe, but for the rest of the last one.
class LineTarget : public LogTarget {
 public:
  // Both must outlive it.
  LineTarget(Sink& sink, Counters& counters)
      : sink_(sink), counters_(counters) {}

  size_t Offer(absl::Span<const Slice> slices) override;

  // There is room again: writes the rest of the line that was begun.
  void OnRoom();
  // What waits for that.
  size_t rest_bytes() const { return rest_.size() - rest_written_; }

  // The first message of which a reader has not taken every byte, if so many
  // bytes are unread in the pipe. Nothing: all were read.
  struct Unread {
    uint64_t offset;
    bool begun;  // it has taken some
  };
  std::optional<Unread> FindUnread(size_t unread_bytes);

  // What is unread is to be offered again: Forget, when it was taken out of the
  // pipe; Repeat from this offset, when it stays in there.
  void Forget();
  void Repeat(uint64_t offset);

  uint64_t messages_written() const { return messages_written_; }

  // What lies in the pipe, for an upgrade that keeps the pipe.
  pb::state::LineTarget Export() const;
  void Restore(const pb::state::LineTarget& state);

 private:
  struct Line {
    // In bytes of all that was written.
    uint64_t begin = 0;
    uint64_t end = 0;
    uint64_t offset = 0;
    bool expired = false;
  };

  // Adds the unit's line to lines_, and its text, if it has any, to text_.
  void AddLine(const MessageUnit& unit);
  // Writes text_. Returns how many of lines_ are dealt with, the last of them
  // perhaps with a rest.
  size_t WriteText();
  void DropRest();

  Sink& sink_;
  Counters& counters_;
  uint64_t written_ = 0;
  uint64_t messages_written_ = 0;
  // Of lines in the pipe, which has a byte for each at least.
  std::deque<Line> unread_;
  // Of the last one.
  std::string rest_;
  size_t rest_written_ = 0;

  // Of one Offer.
  std::string text_;
  std::vector<Line> lines_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_READERS_LINE_TARGET_H_
