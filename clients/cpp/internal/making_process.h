#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_MAKING_PROCESS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_MAKING_PROCESS_H_

#include <sys/types.h>
#include <unistd.h>

#include <atomic>

namespace fifobus {

// The process that made this object. Each call of a client asks whether fork(2)
// has made another one of it since, so the answer costs no system call: the
// number is kept in a page that the kernel wipes in each child (madvise(2),
// MADV_WIPEONFORK). Thread-safe.
class MakingProcess {
 public:
  pid_t id() const { return id_; }
  bool IsThis() const {
    return (kept_ != nullptr ? kept_->load(std::memory_order_relaxed)
                             : getpid()) == id_;
  }

 private:
  // This process's number, in such a page; null if the kernel has none.
  static const std::atomic<pid_t>* Keep();

  const std::atomic<pid_t>* const kept_ = Keep();
  const pid_t id_ = getpid();
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_MAKING_PROCESS_H_
