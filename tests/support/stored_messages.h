#ifndef FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_
#define FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "broker/core/logs/durable_log.h"
#include "proto/frame_writer.h"

namespace fifobus {

// A message that is to be stored.
struct TestMessage {
  std::string topic;
  std::string payload;

  bool operator==(const TestMessage&) const = default;
};

// Appends the messages as one batch, as the router does. Returns the first
// offset; 0: the log took nothing.
inline uint64_t AppendMessages(DurableLog& log,
                               const std::vector<TestMessage>& messages) {
  std::vector<std::string> frames;
  size_t bytes = 0;
  for (const TestMessage& message : messages) {
    MessageFields fields;
    fields.topic = message.topic;
    fields.payload = message.payload;
    frames.emplace_back();
    AppendMessageFrame(fields, frames.back());
    bytes += kStoredDeliveryBytes + frames.back().size();
  }
  LogAppend batch;
  batch.count = static_cast<uint32_t>(messages.size());
  batch.body_bytes = static_cast<uint32_t>(bytes);
  batch.now_unix_nanos = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  const AppendResult result =
      log.Append(batch, [&](const DurableLog::Placement& placement, char* out) {
        uint64_t offset = placement.base_offset;
        for (const std::string& frame : frames) {
          WriteStoredDelivery(offset++, placement.stored_time_unix_nanos, out);
          out += kStoredDeliveryBytes;
          frame.copy(out, frame.size());
          out += frame.size();
        }
      });
  return result.outcome == AppendOutcome::kAppended ? result.base_offset : 0;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_
