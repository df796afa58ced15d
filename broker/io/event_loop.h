#ifndef FIFOBUS_BROKER_IO_EVENT_LOOP_H_
#define FIFOBUS_BROKER_IO_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/mutex.h"
#include "broker/base/unique_fd.h"
#include "broker/io/adaptive_spin.h"

namespace fifobus {

// Something with a descriptor on a loop. Worker-affine.
class Pollable {
 public:
  virtual ~Pollable() = default;
  // `events` are epoll's bits. At an edge they are not repeated.
  virtual void OnEvents(uint32_t events) = 0;
  // A turn that was asked for with Ready.
  virtual void OnTurn() {}
};

// One thread's epoll, its timers, and what is posted to it from other threads.
//
// Registrations are edge-triggered unless asked otherwise: a hang-up is level
// state, cannot be masked, and would wake a level-triggered loop for ever
// (epoll(7), pipe(7)). A Pollable that stops before its pipe is drained asks
// for another turn with Ready. Turns go round, so that no pipe starves the
// others.
//
// Registrations are {slot, generation} and not pointers: epoll may report a
// descriptor that was closed in the same round, and its slot may be taken
// again.
//
// An idle loop makes no system calls: it sleeps in epoll_wait, with a timeout
// only while a timer runs.
//
// Worker-affine: all is for the thread that runs it, but for Post and Stop,
// which any thread may call.
class EventLoop {
 public:
  struct Registration {
    uint32_t slot = 0;
    uint32_t generation = 0;  // 0: not registered
  };

  // `spin` is what it does before it sleeps.
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(
      const AdaptiveSpin& spin);

  // Runs until Stop.
  void Run();
  void Stop();

  // Has `task` run on the loop's thread, after everything that was posted
  // before. Costs a system call only if the loop sleeps.
  void Post(std::function<void()> task);

  enum class Trigger {
    kEdge,
    kLevel,  // events come again and again while they last
  };

  // `events` as in epoll_ctl(2), without EPOLLET. `pollable` must live until
  // Remove.
  absl::StatusOr<Registration> Add(int fd, uint32_t events, Pollable& pollable,
                                   Trigger trigger = Trigger::kEdge);
  // Changes the events or the trigger of a registration. A state that is there
  // already is reported once more.
  void Change(int fd, uint32_t events, const Registration& registration,
              Trigger trigger);
  // Ends a registration, before `fd` is closed. The Pollable is not called any
  // more.
  void Remove(int fd, Registration& registration);

  // Asks for a turn in the next round.
  void Ready(const Registration& registration);

  using TimerId = std::pair<absl::Duration, uint64_t>;
  TimerId RunAfter(absl::Duration delay, std::function<void()> task);
  void Cancel(const TimerId& id);

  // Whether a task was posted and has not run yet. For the loop's own thread, or
  // while a task of it waits for the caller.
  bool HasTasks();

  // How often epoll_wait has returned. For tests of idleness.
  uint64_t rounds() const { return rounds_; }

 private:
  // Fetched at once; more come in the next round. Not tuned.
  static constexpr size_t kEventsMax = 64;

  struct Slot {
    Pollable* pollable = nullptr;
    uint32_t generation = 1;
    bool ready = false;
  };

  EventLoop(UniqueFd epoll_fd, UniqueFd wake_fd, const AdaptiveSpin& spin);

  void RunPosted();
  void RunTimers();
  void RunReady();
  void Wait();
  // Polls until there is something to do, the spin's limit has come, or other
  // threads want this core. Returns the number of events.
  int Spin();
  // Milliseconds until the next timer; 0: there is work now; -1: no timer.
  int SleepMillis();
  // Waits for events, at most so long. Returns their number.
  int FetchEvents(int timeout_millis);
  void DeliverEvents(int count);
  Slot* Find(const Registration& registration);

  const UniqueFd epoll_fd_;
  const UniqueFd wake_fd_;
  AdaptiveSpin spin_;

  std::array<epoll_event, kEventsMax> events_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Registration> ready_;
  std::vector<Registration> turns_;  // of the current round
  std::map<TimerId, std::function<void()>> timers_;
  uint64_t next_timer_ = 0;
  uint64_t rounds_ = 0;
  // Those that were posted and not run when the current one began.
  size_t tasks_behind_ = 0;

  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool asleep_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_EVENT_LOOP_H_
