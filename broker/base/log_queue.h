#ifndef FIFOBUS_BROKER_BASE_LOG_QUEUE_H_
#define FIFOBUS_BROKER_BASE_LOG_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/mutex.h"

namespace fifobus {

// Lines of a log on their way to a descriptor. A thread of its own writes them,
// so that only that thread waits for a reader that is slow or has stopped.
//
// Lines for which there is no room are dropped, and so are lines that cannot be
// written. The next line that is written behind them says how many they were.
//
// Lives as long as the process: its thread may be waiting in write(2) until
// then. Thread-safe.
class LogQueue {
 public:
  // The line that says how many were dropped.
  using Notice = std::string (*)(uint64_t lines);

  // Starts the thread, which takes no signals.
  LogQueue(int fd, size_t bytes_max, Notice notice);
  ~LogQueue() = delete;

  // `line` ends with a newline. Never waits.
  void Add(std::string line);

  // Waits until everything was written or dropped, for at most so long.
  void Flush(absl::Duration patience);

  uint64_t dropped() const;

 private:
  struct Batch {
    std::vector<std::string> lines;
    size_t bytes = 0;
    uint64_t dropped = 0;  // behind the lines
  };

  void Run();
  Batch AwaitBatch();
  void WriteBatch(const Batch& batch);
  void SayDropped();
  enum class Outcome { kWritten, kFailed };
  [[nodiscard]] Outcome Write(std::string_view bytes);

  const int fd_;
  const size_t bytes_max_;
  const Notice notice_;
  // Of the thread. A line was written in part: the next begins a new one.
  bool torn_ = false;
  // Dropped, and no line has said so yet.
  uint64_t unsaid_ = 0;

  mutable Mutex mutex_;
  Condition changed_;
  Batch next_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_LOG_QUEUE_H_
