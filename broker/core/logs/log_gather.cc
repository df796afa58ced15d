#include "broker/core/logs/log_gather.h"

#include <cstring>

#include "broker/base/check.h"
#include "proto/expiry.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

// Each message as a reader gets it: where it lies in the log, and its frame.
void WriteBody(absl::Span<const Slice> frames,
               const DurableLog::Placement& placement, char* body) {
  uint64_t offset = placement.base_offset;
  for (const Slice& slice : frames) {
    for (std::string_view rest(slice.bytes, slice.size); !rest.empty();) {
      const size_t size = FindFrame(rest, rest.size()).frame_bytes;
      WriteStoredDelivery(offset++, placement.stored_time_unix_nanos, body);
      body += kStoredDeliveryBytes;
      std::memcpy(body, rest.data(), size);
      body += size;
      rest.remove_prefix(size);
    }
  }
}

}  // namespace

size_t LogGather::BatchOf(ServedLog& log) {
  if (appended_) Clear();
  for (size_t i = 0; i < count_; ++i) {
    if (batches_[i].log == &log) return i;
  }
  if (count_ == batches_.size()) batches_.emplace_back();
  Batch& batch = batches_[count_];
  batch.log = &log;
  batch.frames.clear();
  batch.messages = 0;
  batch.frame_bytes = 0;
  batch.first_sequence = 0;
  batch.last_sequence = 0;
  batch.outcome = AppendOutcome::kFailed;
  batch.base_offset = 0;
  return count_++;
}

void LogGather::Add(size_t index, const Slice& frames) {
  Batch& batch = batches_[index];
  batch.messages += frames.messages;
  batch.frame_bytes += frames.size;
  if (!batch.frames.empty() &&
      batch.frames.back().bytes + batch.frames.back().size == frames.bytes) {
    batch.frames.back().size += frames.size;
  } else {
    batch.frames.push_back(frames);
  }
}

void LogGather::NoteSequence(size_t index, uint64_t sequence) {
  Batch& batch = batches_[index];
  if (batch.first_sequence == 0) batch.first_sequence = sequence;
  batch.last_sequence = sequence;
}

void LogGather::Append(std::string_view publisher,
                       const std::shared_ptr<Valve>& valve) {
  FIFOBUS_CHECK(gathering());
  appended_ = true;
  const uint64_t now_unix_nanos = UnixNanosNow();
  for (size_t i = 0; i < count_; ++i) {
    if (batches_[i].messages > 0) {
      AppendBatch(batches_[i], publisher, now_unix_nanos, valve);
    }
  }
}

void LogGather::AppendBatch(Batch& batch, std::string_view publisher,
                            uint64_t now_unix_nanos,
                            const std::shared_ptr<Valve>& valve) {
  LogAppend append;
  append.publisher = publisher;
  append.first_sequence = batch.first_sequence;
  append.last_sequence = batch.last_sequence;
  append.count = batch.messages;
  append.body_bytes = static_cast<uint32_t>(
      batch.frame_bytes + batch.messages * kStoredDeliveryBytes);
  append.now_unix_nanos = now_unix_nanos;
  const AppendResult result = batch.log->log().Append(
      append, [&](const DurableLog::Placement& placement, char* body) {
        WriteBody(batch.frames, placement, body);
      });
  // Whoever has the name is the only one to append under it, and has left the
  // repeats out.
  FIFOBUS_CHECK(result.outcome != AppendOutcome::kRepeated);
  batch.outcome = result.outcome;
  batch.base_offset = result.base_offset;
  if (result.outcome == AppendOutcome::kAppended) {
    batch.log->NoteAppended(batch.messages);
  }
  if (result.full && valve) batch.log->HoldBack(valve);
}

}  // namespace fifobus
