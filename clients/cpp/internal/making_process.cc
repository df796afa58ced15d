#include "clients/cpp/internal/making_process.h"

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

const std::atomic<pid_t>* MakingProcess::Keep() {
  static KeptPid* const kept = MakeWipedPage();
  if (kept != nullptr) kept->store(getpid(), std::memory_order_relaxed);
  return kept;
}

}  // namespace fifobus
