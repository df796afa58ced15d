#ifndef FIFOBUS_TESTS_SUPPORT_LOG_MODEL_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/core/logs/durable_log.h"
#include "broker/core/logs/log_format.h"
#include "fmt/format.h"

namespace fifobus {

// The bytes of an extent.
inline std::string BodyOf(const LogExtent& extent) {
  std::string body(extent.bytes, '\0');
  for (size_t filled = 0; filled < body.size();) {
    const DiskResult read = extent.file->ReadAt(
        extent.position + filled, &body[filled], body.size() - filled);
    if (!read.ok() || read.bytes == 0) break;
    filled += read.bytes;
  }
  return body;
}

// All of a log as lines, as tests/support/log_reader.py prints them: a line for
// each batch, for each range that is missing, and for where the log ends.
inline std::string LogText(const DurableLog& log) {
  std::string text;
  uint64_t offset = log.first_offset();
  MissingRange missing;
  const auto flush = [&] {
    if (missing.first_offset == 0) return;
    text += fmt::format("missing {} {}\n", missing.first_offset,
                        missing.last_offset);
    missing = {};
  };
  for (;;) {
    const LogReadResult read = log.Read(offset, 5000);
    if (read.outcome == LogReadOutcome::kDamaged) {
      if (missing.first_offset == 0) missing = read.missing;
      missing.last_offset = read.missing.last_offset;
    }
    for (const LogExtent& extent : read.extents) {
      flush();
      text += fmt::format("batch {} {} {} {:016x}\n", extent.first_offset,
                          extent.count, extent.stored_time_unix_nanos,
                          LogHash(BodyOf(extent), 0));
    }
    if (read.outcome != LogReadOutcome::kExtents &&
        read.outcome != LogReadOutcome::kDamaged) {
      break;
    }
    offset = read.next_offset;
  }
  flush();
  return text + fmt::format("next {}\n", offset);
}

// What a log must hold. Of what was appended everything up to the confirmed
// offset must be there after a crash, and of the rest the first batches.
struct LogModel {
  struct Batch {
    uint64_t base_offset = 0;
    uint32_t count = 0;
    uint64_t stored_time_unix_nanos = 0;
    std::string body;
    std::string publisher;
    uint64_t last_sequence = 0;

    uint64_t end_offset() const { return base_offset + count; }
  };

  std::vector<Batch> batches;
  uint64_t confirmed_offset = 0;
  // What retention may have removed.
  uint64_t first_offset = 1;

  uint64_t next_offset() const {
    return batches.empty() ? 1 : batches.back().end_offset();
  }
  const Batch* Find(uint64_t base_offset) const {
    const auto found =
        std::lower_bound(batches.begin(), batches.end(), base_offset,
                         [](const Batch& batch, uint64_t sought) {
                           return batch.base_offset < sought;
                         });
    return found != batches.end() && found->base_offset == base_offset
               ? &*found
               : nullptr;
  }
  uint64_t LastSequence(const std::string& publisher) const {
    uint64_t last = 0;
    for (const Batch& batch : batches) {
      if (batch.publisher == publisher) last = batch.last_sequence;
    }
    return last;
  }

  // What is wrong with the log; empty: nothing. `damaged`: one bit was
  // flipped, so one batch may be missing, but must be told.
  std::string Compare(const DurableLog& log, bool damaged) const {
    // Without room what is known of the tail waits in memory.
    const uint64_t kept = log.outcome() == LogOutcome::kNoRoom
                              ? log.next_offset() - 1
                              : log.committed_offset();
    if (kept < confirmed_offset) {
      return fmt::format("confirmed up to {}, there up to {}", confirmed_offset,
                         kept);
    }
    if (log.first_offset() > first_offset) {
      return fmt::format("begins at {} instead of {}", log.first_offset(),
                         first_offset);
    }
    uint64_t offset = log.first_offset();
    int missing_batches = 0;
    for (;;) {
      const LogReadResult read = log.Read(offset, 2000);
      if (read.outcome == LogReadOutcome::kEnd) break;
      if (read.outcome == LogReadOutcome::kDamaged && damaged) {
        const Batch* batch = Find(offset);
        if (batch == nullptr || batch->end_offset() != read.next_offset) {
          return fmt::format("missing from {} to {}", offset,
                             read.next_offset - 1);
        }
        if (++missing_batches > 1) return "one flip spoilt two batches";
        offset = read.next_offset;
        continue;
      }
      if (read.outcome != LogReadOutcome::kExtents) {
        return fmt::format("outcome {} at {}", static_cast<int>(read.outcome),
                           offset);
      }
      for (const LogExtent& extent : read.extents) {
        const std::string fault = CompareExtent(extent, offset);
        if (!fault.empty()) return fault;
        offset = extent.first_offset + extent.count;
      }
    }
    if (offset != log.committed_offset() + 1) {
      return fmt::format("ends before {}", offset);
    }
    return "";
  }

  std::string CompareExtent(const LogExtent& extent, uint64_t offset) const {
    if (extent.first_offset != offset) {
      return fmt::format("{} instead of {}", extent.first_offset, offset);
    }
    const Batch* batch = Find(offset);
    if (batch == nullptr || batch->count != extent.count) {
      return fmt::format("a batch at {} that nobody appended", offset);
    }
    if (batch->body != BodyOf(extent)) {
      return fmt::format("other bytes at {}", offset);
    }
    if (batch->stored_time_unix_nanos != extent.stored_time_unix_nanos) {
      return fmt::format("another time at {}", offset);
    }
    return "";
  }

  // After recovery: what it did not keep was never there.
  void CutTo(uint64_t next_offset) {
    while (!batches.empty() && batches.back().base_offset >= next_offset) {
      batches.pop_back();
    }
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_MODEL_H_
