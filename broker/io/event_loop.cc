#include "broker/io/event_loop.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"

namespace fifobus {
namespace {

// A round of polling takes about a microsecond; if it took this long, another
// thread had the core.
constexpr absl::Duration kOwnRoundMax = absl::Microseconds(10);

// The wake-up descriptor's place in epoll; no slot has generation 0.
constexpr uint64_t kWakeKey = 0;

uint64_t KeyOf(const EventLoop::Registration& registration) {
  return uint64_t{registration.generation} << 32 | registration.slot;
}

epoll_event EventOf(uint32_t events, EventLoop::Trigger trigger,
                    const EventLoop::Registration& registration) {
  epoll_event event = {};
  event.events = events;
  if (trigger == EventLoop::Trigger::kEdge) event.events |= EPOLLET;
  event.data.u64 = KeyOf(registration);
  return event;
}

EventLoop::Registration RegistrationOf(uint64_t key) {
  return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(
    const AdaptiveSpin& spin) {
  UniqueFd epoll_fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_fd.valid()) return absl::ErrnoToStatus(errno, "epoll_create1");
  UniqueFd wake_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  epoll_event event = {};
  // Edge-triggered, each write is an edge: the counter is never read.
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = kWakeKey;
  if (epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, wake_fd.get(), &event) != 0) {
    return absl::ErrnoToStatus(errno, "epoll_ctl eventfd");
  }
  return std::unique_ptr<EventLoop>(
      new EventLoop(std::move(epoll_fd), std::move(wake_fd), spin));
}

EventLoop::EventLoop(UniqueFd epoll_fd, UniqueFd wake_fd,
                     const AdaptiveSpin& spin)
    : epoll_fd_(std::move(epoll_fd)),
      wake_fd_(std::move(wake_fd)),
      spin_(spin) {}

void EventLoop::Run() {
  while (true) {
    RunPosted();
    {
      MutexLock lock(mutex_);
      if (stopping_ && posted_.empty()) return;
    }
    RunTimers();
    RunReady();
    Wait();
  }
}

void EventLoop::Stop() {
  Post([this] {
    MutexLock lock(mutex_);
    stopping_ = true;
  });
}

void EventLoop::Post(std::function<void()> task) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    posted_.push_back(std::move(task));
    wake = std::exchange(asleep_, false);
  }
  if (!wake) return;
  const uint64_t one = 1;
  FIFOBUS_CHECK(write(wake_fd_.get(), &one, sizeof(one)) == sizeof(one));
}

absl::StatusOr<EventLoop::Registration> EventLoop::Add(int fd, uint32_t events,
                                                       Pollable& pollable,
                                                       Trigger trigger) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  const Registration registration = {slot, slots_[slot].generation};
  epoll_event event = EventOf(events, trigger, registration);
  if (epoll_ctl(epoll_fd_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "epoll_ctl");
  }
  free_slots_.pop_back();
  slots_[slot].pollable = &pollable;
  return registration;
}

void EventLoop::Change(int fd, uint32_t events,
                       const Registration& registration, Trigger trigger) {
  FIFOBUS_CHECK(Find(registration) != nullptr);
  epoll_event event = EventOf(events, trigger, registration);
  FIFOBUS_CHECK(epoll_ctl(epoll_fd_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::Remove(int fd, Registration& registration) {
  Slot* slot = Find(registration);
  FIFOBUS_CHECK(slot != nullptr);
  FIFOBUS_CHECK(epoll_ctl(epoll_fd_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0);
  const uint32_t next = slot->generation + 1;
  *slot = Slot();
  slot->generation = next == 0 ? 1 : next;
  free_slots_.push_back(registration.slot);
  registration = Registration();
}

void EventLoop::Ready(const Registration& registration) {
  Slot* slot = Find(registration);
  if (slot == nullptr || slot->ready) return;
  slot->ready = true;
  ready_.push_back(registration);
}

EventLoop::TimerId EventLoop::RunAfter(absl::Duration delay,
                                       std::function<void()> task) {
  const TimerId id = {MonotonicNow() + delay, next_timer_++};
  timers_.emplace(id, std::move(task));
  return id;
}

void EventLoop::Cancel(const TimerId& id) { timers_.erase(id); }

bool EventLoop::HasTasks() {
  if (tasks_behind_ > 0) return true;
  MutexLock lock(mutex_);
  return !posted_.empty();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(mutex_);
    asleep_ = false;
    tasks.swap(posted_);
  }
  tasks_behind_ = tasks.size();
  for (const std::function<void()>& task : tasks) {
    --tasks_behind_;
    task();
  }
}

void EventLoop::RunTimers() {
  if (timers_.empty()) return;
  const absl::Duration now = MonotonicNow();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
}

void EventLoop::RunReady() {
  // Those that ask again meanwhile have their turn in the next round.
  turns_.swap(ready_);
  for (const Registration& registration : turns_) {
    Slot* slot = Find(registration);
    if (slot == nullptr) continue;
    slot->ready = false;
    slot->pollable->OnTurn();
  }
  turns_.clear();
}

int EventLoop::SleepMillis() {
  if (!ready_.empty()) return 0;
  {
    MutexLock lock(mutex_);
    if (!posted_.empty()) return 0;
    asleep_ = true;
  }
  if (timers_.empty()) return -1;
  const absl::Duration delay = std::max(
      timers_.begin()->first.first - MonotonicNow(), absl::ZeroDuration());
  return static_cast<int>(
      absl::ToInt64Milliseconds(absl::Ceil(delay, absl::Milliseconds(1))));
}

void EventLoop::Wait() {
  if (!ready_.empty()) {
    DeliverEvents(FetchEvents(0));
    return;
  }
  const absl::Duration begin = MonotonicNow();
  const bool spins = spin_.Pays();
  int count = spins ? Spin() : 0;
  if (count == 0) count = FetchEvents(SleepMillis());
  spin_.Came(MonotonicNow() - begin, spins);
  DeliverEvents(count);
}

int EventLoop::Spin() {
  absl::Duration now = MonotonicNow();
  const absl::Duration end = now + spin_.limit();
  while (now < end) {
    const int count = FetchEvents(0);
    if (count > 0) return count;
    {
      MutexLock lock(mutex_);
      if (!posted_.empty()) return 0;
    }
    sched_yield();
    const absl::Duration before = std::exchange(now, MonotonicNow());
    const bool wanted = now - before > kOwnRoundMax;
    if (wanted && !spin_.GoesOnThoughCoreIsWanted()) break;
  }
  return 0;
}

int EventLoop::FetchEvents(int timeout_millis) {
  const int count =
      epoll_wait(epoll_fd_.get(), events_.data(),
                 static_cast<int>(events_.size()), timeout_millis);
  FIFOBUS_CHECK(count >= 0 || errno == EINTR);
  ++rounds_;
  return std::max(count, 0);
}

void EventLoop::DeliverEvents(int count) {
  for (int i = 0; i < count; ++i) {
    if (events_[i].data.u64 == kWakeKey) continue;
    Slot* slot = Find(RegistrationOf(events_[i].data.u64));
    if (slot != nullptr) slot->pollable->OnEvents(events_[i].events);
  }
}

EventLoop::Slot* EventLoop::Find(const Registration& registration) {
  if (registration.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[registration.slot];
  const bool current =
      slot.pollable != nullptr && slot.generation == registration.generation;
  return current ? &slot : nullptr;
}

}  // namespace fifobus
