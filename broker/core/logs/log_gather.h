#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_GATHER_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_GATHER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "broker/core/logs/durable_log.h"
#include "broker/core/logs/served_log.h"
#include "broker/seam/feed.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Gathers, for each log, the frames of one chunk that it stores, and then
// appends them: one batch per log per flush. What came of a batch can be asked
// until the next message is gathered.
//
// Keeps its vectors from chunk to chunk, so that gathering allocates nothing
// once it is warm. Worker-affine; owned by a Router.
class LogGather {
 public:
  // A batch of one log. Its outcome is known after Append.
  struct Batch {
    ServedLog* log = nullptr;
    std::vector<Slice> frames;
    uint32_t messages = 0;
    size_t frame_bytes = 0;
    uint64_t first_sequence = 0;  // of a named publisher
    uint64_t last_sequence = 0;

    AppendOutcome outcome = AppendOutcome::kFailed;
    uint64_t base_offset = 0;

    uint64_t last_offset() const { return base_offset + messages - 1; }
  };

  // The index of the log's batch, which is begun if there is none.
  size_t BatchOf(ServedLog& log);

  // `frames` are whole Message frames, which stay where they are until Append.
  void Add(size_t batch, const Slice& frames);
  // The sequence of a named publisher's message of this batch, in their order.
  void NoteSequence(size_t batch, uint64_t sequence);

  // Something may be there to be appended.
  bool gathering() const { return count_ > 0 && !appended_; }

  // Appends what was gathered, which is not nothing. A log whose backlog is full pauses the valve
  // (null: nothing is paused) until it has room. `publisher`: empty for one
  // without a name.
  void Append(std::string_view publisher, const std::shared_ptr<Valve>& valve);

  // Forgets all batches.
  void Clear() {
    count_ = 0;
    appended_ = false;
  }

  // What was gathered so far, or what Append has just appended.
  absl::Span<const Batch> batches() const { return {batches_.data(), count_}; }

 private:
  void AppendBatch(Batch& batch, std::string_view publisher,
                   uint64_t now_unix_nanos,
                   const std::shared_ptr<Valve>& valve);

  std::vector<Batch> batches_;
  size_t count_ = 0;
  bool appended_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_GATHER_H_
