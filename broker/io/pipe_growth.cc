#include "broker/io/pipe_growth.h"

#include <algorithm>
#include <utility>

#include "broker/io/fifo.h"

namespace fifobus {

PipeGrowth::PipeGrowth(const BrokerOptions& options, size_t bytes_max)
    : ingress_bytes_(options.ingress_pipe_bytes),
      egress_bytes_(options.egress_pipe_bytes),
      large_bytes_(options.large_pipe_bytes),
      kept_bytes_(bytes_max / 2),
      left_(bytes_max) {}

PipeGrowth::Grant PipeGrowth::Take(size_t size, size_t taken) {
  const size_t bytes = size - taken;
  const size_t kept = size > ingress_bytes_ ? kept_bytes_ : 0;
  size_t left = left_.load(std::memory_order_relaxed);
  while (left >= bytes + kept) {
    if (left_.compare_exchange_weak(left, left - bytes,
                                    std::memory_order_relaxed)) {
      return Grant::kGranted;
    }
  }
  return Grant::kTooLittleLeft;
}

void PipeGrowth::GiveBack(size_t bytes) {
  left_.fetch_add(bytes, std::memory_order_relaxed);
}

size_t PipeGrowth::TakeOver(size_t bytes) {
  size_t left = left_.load(std::memory_order_relaxed);
  while (!left_.compare_exchange_weak(left, left - std::min(left, bytes),
                                      std::memory_order_relaxed)) {
  }
  return std::min(left, bytes);
}

void GrowingPipe::Grow(int fd, size_t bytes) {
  // A smaller size is better than none.
  for (const size_t size :
       {growth_->SizeFor(use_, bytes), growth_->SizeFor(use_, 0),
        growth_->SizeFor(PipeUse::kIngress, 0)}) {
    if (size <= taken_) return;
    if (growth_->Take(size, taken_) != PipeGrowth::Grant::kGranted) continue;
    taken_ = size;
    TrySetPipeBytes(fd, size);
    return;
  }
}

void GrowingPipe::GiveBack() {
  if (growth_ != nullptr) growth_->GiveBack(std::exchange(taken_, 0));
}

}  // namespace fifobus
