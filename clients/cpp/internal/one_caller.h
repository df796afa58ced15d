#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_ONE_CALLER_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_ONE_CALLER_H_

#include <atomic>

namespace fifobus {

// Ends the process with one clear line when a second thread calls a client
// while a first one is in a call. Else their frames would tear each other, and
// nobody would know why. It costs loads and stores and no atomic exchange, so
// it sees a call that waits, and two short ones by chance.
//
// Thread-safe.
class OneCaller {
 public:
  // For the length of a call. Calls of one thread may be nested.
  class Call {
   public:
    explicit Call(OneCaller& callers) : callers_(callers) {
      const void* const inside =
          callers.inside_.load(std::memory_order_relaxed);
      if (inside == Me()) return;
      if (inside != nullptr) [[unlikely]]
        OnSecond();
      callers.inside_.store(Me(), std::memory_order_relaxed);
      is_outermost_ = true;
    }
    ~Call() {
      if (!is_outermost_) return;
      if (callers_.inside_.load(std::memory_order_relaxed) != Me())
          [[unlikely]] {
        OnSecond();
      }
      callers_.inside_.store(nullptr, std::memory_order_relaxed);
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    OneCaller& callers_;
    bool is_outermost_ = false;
  };

  // Before a call waits: a second one that came at the same moment may have
  // left again, and taken the mark along.
  void StayInside() { inside_.store(Me(), std::memory_order_relaxed); }
  // In the child of a fork: the thread that was inside is not here.
  void Forget() { inside_.store(nullptr, std::memory_order_relaxed); }

 private:
  // An address that only this thread has.
  static const void* Me() {
    static thread_local char me;
    return &me;
  }
  [[noreturn]] static void OnSecond();

  std::atomic<const void*> inside_{nullptr};
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_ONE_CALLER_H_
