#include "broker/io/pipe_growth.h"

#include <utility>

#include "broker/io/fifo.h"

namespace fifobus {

PipeGrowth::PipeGrowth(const BrokerOptions& options)
    : busy_bytes_(options.busy_pipe_bytes),
      large_bytes_(options.large_pipe_bytes),
      kept_bytes_(options.grown_pipes_bytes_max / 2),
      left_(options.grown_pipes_bytes_max) {}

bool PipeGrowth::Take(size_t size, size_t taken) {
  const size_t bytes = size - taken;
  const size_t kept = size > busy_bytes_ ? kept_bytes_ : 0;
  size_t left = left_.load(std::memory_order_relaxed);
  while (left >= bytes + kept) {
    if (left_.compare_exchange_weak(left, left - bytes,
                                    std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void PipeGrowth::GiveBack(size_t bytes) {
  left_.fetch_add(bytes, std::memory_order_relaxed);
}

void GrowingPipe::Grow(int fd, size_t size) {
  if (!growth_->Take(size, taken_)) {
    // The smaller size is better than none.
    size = growth_->SizeFor(0);
    if (taken_ >= size || !growth_->Take(size, taken_)) return;
  }
  taken_ = size;
  TrySetPipeBytes(fd, size);
}

void GrowingPipe::GiveBack() {
  if (growth_ != nullptr) growth_->GiveBack(std::exchange(taken_, 0));
}

}  // namespace fifobus
