#ifndef FIFOBUS_BROKER_CORE_GROUPS_DEALT_RUNS_H_
#define FIFOBUS_BROKER_CORE_GROUPS_DEALT_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "broker/state/group_state.pb.h"

namespace fifobus {

// Where in a member's stream lie the messages that a group without acks has
// dealt to it, to tell how many of them the member had not read when it left.
// Neighbours of one size are one entry, and what is too far back to be unread is
// forgotten. Thread-compatible; owned by a Group, under its lock.
class DealtRuns {
 public:
  // Messages of `size` bytes each lie at the end of the stream, which is at
  // `end`.
  void Add(uint64_t end, size_t size, uint64_t messages) {
    if (!runs_.empty() && runs_.back().size == size &&
        runs_.back().end + size * messages == end) {
      runs_.back().end = end;
      runs_.back().messages += messages;
    } else {
      runs_.push_back({end, messages, size});
    }
    while (runs_.front().end + kUnreadBytesMax <= end) runs_.pop_front();
  }

  // Messages of which a reader has not had the last byte, if it has read so far.
  uint64_t CountBehind(uint64_t position) const {
    uint64_t messages = 0;
    for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
      if (run->end <= position) break;
      const uint64_t bytes = run->end - position;
      const uint64_t unread = (bytes + run->size - 1) / run->size;
      if (unread < run->messages) return messages + unread;
      messages += run->messages;
    }
    return messages;
  }

  pb::state::DealtRuns Export() const {
    pb::state::DealtRuns state;
    for (const Run& run : runs_) {
      pb::state::DealtRuns::Run& one = *state.add_runs();
      one.set_end(run.end);
      one.set_messages(run.messages);
      one.set_message_bytes(run.size);
    }
    return state;
  }
  static DealtRuns Restore(const pb::state::DealtRuns& state) {
    DealtRuns dealt;
    for (const pb::state::DealtRuns::Run& run : state.runs()) {
      dealt.runs_.push_back({run.end(), run.messages(), run.message_bytes()});
    }
    return dealt;
  }

 private:
  struct Run {
    uint64_t end;
    uint64_t messages;
    size_t size;
  };

  // A pipe holds no more, unless root has made it larger: pipe-max-size,
  // pipe(7).
  static constexpr uint64_t kUnreadBytesMax = uint64_t{1} << 20;

  std::deque<Run> runs_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_DEALT_RUNS_H_
