#include "broker/core/logs/log_watch.h"

#include <algorithm>

namespace fifobus {

void LogWatch::Add(LogWaiter& waiter) {
  thread_rule_.Check();
  if (std::find(waiters_.begin(), waiters_.end(), &waiter) != waiters_.end()) {
    return;
  }
  waiters_.push_back(&waiter);
  // Sequentially consistent, as is the load in Wake: a waiter that is added and
  // then looks at the log sees what it would not be told of.
  waited_for_.store(true);
}

void LogWatch::Remove(LogWaiter& waiter) {
  thread_rule_.Check();
  if (telling_) {
    std::replace(waiters_.begin(), waiters_.end(), &waiter,
                 static_cast<LogWaiter*>(nullptr));
    return;
  }
  std::erase(waiters_, &waiter);
  if (waiters_.empty()) waited_for_.store(false);
}

void LogWatch::Wake() {
  if (!waited_for_.load() || woken_.exchange(true)) return;
  post_(absl::ZeroDuration(), [this] { TellWaiters(); });
}

void LogWatch::WakeAfter(absl::Duration delay) {
  post_(delay, [this] { Wake(); });
}

void LogWatch::TellWaiters() {
  thread_rule_.Check();
  // First: a commit that comes from here on tells them once more.
  woken_.store(false);
  telling_ = true;
  for (size_t i = 0; i < waiters_.size(); ++i) {
    if (waiters_[i] != nullptr) waiters_[i]->OnLogProgress();
  }
  telling_ = false;
  std::erase(waiters_, nullptr);
  if (waiters_.empty()) waited_for_.store(false);
}

}  // namespace fifobus
