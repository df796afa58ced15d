#ifndef FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_
#define FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/mutex.h"
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

// The thread of a worker, as the test's own: runs what was posted when told to.
//
// Thread-safe, but for Run.
class PostedTasks {
 public:
  void Post(std::function<void()> task) {
    const MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  // Returns whether there was any.
  bool Run() {
    std::vector<std::function<void()>> tasks;
    {
      const MutexLock lock(mutex_);
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
    return !tasks.empty();
  }

 private:
  Mutex mutex_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_STORED_MESSAGES_H_
