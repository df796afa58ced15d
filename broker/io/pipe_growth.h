#ifndef FIFOBUS_BROKER_IO_PIPE_GROWTH_H_
#define FIFOBUS_BROKER_IO_PIPE_GROWTH_H_

#include <atomic>
#include <cstddef>

#include "broker/options.h"

namespace fifobus {

enum class PipeUse {
  kIngress,  // the broker reads from it, or stages in it
  kEgress,   // the broker writes to it
};

// The budget of all pipes that have grown. It is bounded because of the kernel:
// once a user's pipes have reached pipe-user-pages-soft, each further pipe of
// that user, in whatever program, gets two pages only (pipe(7)).
//
// Thread-safe.
class PipeGrowth {
 public:
  // `bytes_max` is for all pipes together: see PipeAllowance.
  PipeGrowth(const BrokerOptions& options, size_t bytes_max);

  // The size that suits a pipe which was found too small for `bytes`; 0: none
  // grows.
  size_t SizeFor(PipeUse use, size_t bytes) const {
    const size_t busy =
        use == PipeUse::kIngress ? ingress_bytes_ : egress_bytes_;
    return bytes <= busy ? busy : large_bytes_;
  }

  enum class Grant { kGranted, kTooLittleLeft };

  // Takes out of the budget what a pipe that has taken `taken` bytes needs for a
  // size of `size`. Half of the budget is kept for pipes of an ingress's size.
  [[nodiscard]] Grant Take(size_t size, size_t taken);
  void GiveBack(size_t bytes);
  // Takes what a pipe had of the budget of the broker before an upgrade, as far
  // as there is so much. Returns how much that is.
  size_t TakeOver(size_t bytes);

  // Whether the budget lets another subscriber's pipe become larger than an
  // ingress's.
  bool IsRoomy() const {
    return left_.load(std::memory_order_relaxed) >= kept_bytes_ + egress_bytes_;
  }

 private:
  const size_t ingress_bytes_;
  const size_t egress_bytes_;
  const size_t large_bytes_;
  const size_t kept_bytes_;
  std::atomic<size_t> left_;
};

// One pipe's share of the budget. Thread-compatible.
class GrowingPipe {
 public:
  // `growth` must live until GiveBack; null: this pipe never grows.
  GrowingPipe(PipeGrowth* growth, PipeUse use) : growth_(growth), use_(use) {}

  // The pipe was found full, and `bytes` should go through it at once. Growing
  // makes room, and epoll reports that as an edge: fs/pipe.c, pipe_resize_ring.
  void OnFull(int fd, size_t bytes) {
    if (growth_ != nullptr && taken_ < growth_->SizeFor(use_, bytes)) {
      Grow(fd, bytes);
    }
  }

  // As PipeGrowth::IsRoomy; true where there is no budget.
  bool IsRoomy() const { return growth_ == nullptr || growth_->IsRoomy(); }

  // Gives the share back when the pipe is closed.
  void GiveBack();

  // What an upgrade takes over: the pipe keeps its size.
  size_t taken_bytes() const { return taken_; }
  void TakeOver(size_t taken_bytes) {
    if (growth_ != nullptr) taken_ = growth_->TakeOver(taken_bytes);
  }

 private:
  void Grow(int fd, size_t bytes);

  PipeGrowth* const growth_;
  const PipeUse use_;
  size_t taken_ = 0;  // also where the kernel refused: it is asked once
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_PIPE_GROWTH_H_
