#ifndef FIFOBUS_BROKER_IO_PIPE_GROWTH_H_
#define FIFOBUS_BROKER_IO_PIPE_GROWTH_H_

#include <atomic>
#include <cstddef>

#include "broker/options.h"

namespace fifobus {

// What the pipes that have grown may take together. Bounded: once a user's
// pipes have reached pipe-user-pages-soft, each further pipe of that user, in
// whatever program, gets two pages only (pipe(7)).
//
// Thread-safe.
class PipeGrowth {
 public:
  explicit PipeGrowth(const BrokerOptions& options);

  // The size for a pipe that was found too small for `bytes`; 0: none grows.
  size_t SizeFor(size_t bytes) const {
    return bytes <= busy_bytes_ ? busy_bytes_ : large_bytes_;
  }

  // Takes what a pipe needs to become of that size; false: there is not as much
  // left. The second half is kept for pipes of the smaller size.
  bool Take(size_t size, size_t taken);
  void GiveBack(size_t bytes);

 private:
  const size_t busy_bytes_;
  const size_t large_bytes_;
  const size_t kept_bytes_;
  std::atomic<size_t> left_;
};

// One pipe's growth. Not thread-safe.
class GrowingPipe {
 public:
  // `growth` must live until GiveBack; null: this pipe does not grow.
  explicit GrowingPipe(PipeGrowth* growth) : growth_(growth) {}

  // The pipe was full where `bytes` were to go through it at once. A writer
  // gets the edge of the room that growing makes: fs/pipe.c, pipe_resize_ring.
  void OnFull(int fd, size_t bytes) {
    if (growth_ != nullptr && taken_ < growth_->SizeFor(bytes)) {
      Grow(fd, growth_->SizeFor(bytes));
    }
  }

  // The pipe is closed.
  void GiveBack();

 private:
  void Grow(int fd, size_t size);

  PipeGrowth* const growth_;
  size_t taken_ = 0;  // also where the kernel refused: it is asked once
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_PIPE_GROWTH_H_
