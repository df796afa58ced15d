#ifndef FIFOBUS_TESTS_SUPPORT_PIPE_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_PIPE_SUPPORT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/io/worker.h"

// Real pipes for tests, without a bus.
namespace fifobus {

// However slow the machine: a test that waits longer has found a hang.
inline constexpr absl::Duration kHang = absl::Seconds(60);

// A new empty directory, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Waits until `condition` holds; false after kHang.
bool WaitUntil(const std::function<bool()>& condition);

// Waits until poll(2) reports `events`; false after kHang.
bool WaitFor(int fd, short events);

// Makes a FIFO.
void MakeFifo(const std::string& path);

// Reads a descriptor, which may be non-blocking, until `bytes` bytes have come,
// its end, or kHang.
std::string ReadBytes(int fd, size_t bytes);

// Descriptors that this process has open.
size_t OpenDescriptors();
// As many descriptors as the system lets this process have.
void RaiseDescriptorLimit();

// Both ends of a new pipe: what a FIFO is once it has no name.
struct PipeEnds {
  UniqueFd reading;
  UniqueFd writing;
};
PipeEnds MakePipe();
// The smallest pipe there is, which forces partial reads and writes.
PipeEnds MakeOnePagePipe();

// Whether pipes may grow. Once this user's pipes have reached
// pipe-user-pages-soft they may not. A test that needs this runs alone, and
// says so when it skips.
bool PipesMayGrow();

// A worker whose thread a test may borrow.
class TestWorker {
 public:
  explicit TestWorker(const BrokerOptions& options = {});

  Worker& worker() { return *worker_; }
  EventLoop& loop() { return worker_->loop(); }
  // Runs `task` on the worker's thread and waits for its end.
  void Do(const std::function<void()>& task);
  // How often the worker has come back from epoll.
  uint64_t Rounds();

 private:
  std::unique_ptr<Worker> worker_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_PIPE_SUPPORT_H_
