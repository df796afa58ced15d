#include "clients/cpp/internal/process_id.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>

namespace fifobus {
namespace {

using KeptPid = std::atomic<pid_t>;

// Null if the kernel does not wipe pages: Linux before 4.14.
KeptPid* MakeWipedPage() {
  const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const page = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
    (void)munmap(page, bytes);
    return nullptr;
  }
  return new (page) KeptPid(0);
}

}  // namespace

pid_t ProcessId() {
  static KeptPid* const kept = MakeWipedPage();
  if (kept == nullptr) return getpid();
  pid_t pid = kept->load(std::memory_order_relaxed);
  if (pid == 0) [[unlikely]] {
    pid = getpid();
    kept->store(pid, std::memory_order_relaxed);
  }
  return pid;
}

}  // namespace fifobus
