#include "broker/base/log_queue.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "broker/base/signals_blocked.h"

namespace fifobus {

LogQueue::LogQueue(int fd, size_t bytes_max, Notice notice)
    : fd_(fd), bytes_max_(bytes_max), notice_(notice) {
  // SIGPIPE and SIGXFSZ would end the process: write(2) fails instead.
  const AllSignalsBlocked blocked;
  std::thread thread([this] { Run(); });
  pthread_setname_np(thread.native_handle(), "fifobus-log");
  thread.detach();
}

void LogQueue::Add(std::string line) {
  {
    MutexLock lock(mutex_);
    if (next_.bytes + line.size() > bytes_max_) {
      ++next_.dropped;
      ++dropped_;
      return;
    }
    next_.bytes += line.size();
    next_.lines.push_back(std::move(line));
  }
  changed_.NotifyAll();
}

void LogQueue::Flush(absl::Duration patience) {
  MutexLock lock(mutex_);
  changed_.AwaitFor(mutex_, patience, [this] {
    mutex_.AssertHeld();  // the analysis does not look into lambdas
    return next_.lines.empty() && !writing_;
  });
}

uint64_t LogQueue::dropped() const {
  MutexLock lock(mutex_);
  return dropped_;
}

void LogQueue::Run() {
  while (true) WriteBatch(AwaitBatch());
}

LogQueue::Batch LogQueue::AwaitBatch() {
  MutexLock lock(mutex_);
  writing_ = false;
  changed_.NotifyAll();
  changed_.Await(mutex_, [this] {
    mutex_.AssertHeld();
    return !next_.lines.empty();
  });
  writing_ = true;
  return std::exchange(next_, Batch());
}

void LogQueue::WriteBatch(const Batch& batch) {
  for (const std::string& line : batch.lines) {
    SayDropped();
    if (Write(line) == Outcome::kWritten) continue;
    ++unsaid_;
    MutexLock lock(mutex_);
    ++dropped_;
  }
  unsaid_ += batch.dropped;
  SayDropped();
}

void LogQueue::SayDropped() {
  if (unsaid_ == 0) return;
  if (Write(notice_(unsaid_)) == Outcome::kWritten) unsaid_ = 0;
}

LogQueue::Outcome LogQueue::Write(std::string_view bytes) {
  const std::string line = (torn_ ? "\n" : "") + std::string(bytes);
  size_t written = 0;
  while (written < line.size()) {
    const ssize_t size =
        write(fd_, line.data() + written, line.size() - written);
    if (size >= 0) {
      written += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {
      // Somebody who shares the open file has made it non-blocking.
      pollfd writable = {fd_, POLLOUT, 0};
      (void)poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      torn_ = torn_ || written > 0;
      return Outcome::kFailed;
    }
  }
  torn_ = false;
  return Outcome::kWritten;
}

}  // namespace fifobus
