#ifndef FIFOBUS_BROKER_IO_HALF_RECEIVED_H_
#define FIFOBUS_BROKER_IO_HALF_RECEIVED_H_

#include <atomic>
#include <cstddef>

namespace fifobus {

// Bytes that all ingresses together have read and could not pass on yet: the
// beginnings of frames. Invariant: bytes() is the sum of all ingresses' shares.
// Thread-safe.
class HalfReceived {
 public:
  explicit HalfReceived(size_t bytes_max) : bytes_max_(bytes_max) {}

  enum class Verdict { kWithin, kExceeded };

  // Changes one ingress's share. kExceeded: it grew, and all are too much now.
  [[nodiscard]] Verdict Change(size_t from_bytes, size_t to_bytes) {
    const size_t before =
        bytes_.fetch_add(to_bytes - from_bytes, std::memory_order_relaxed);
    const size_t now = before + (to_bytes - from_bytes);  // wraps as needed
    return now > bytes_max_ && to_bytes > from_bytes ? Verdict::kExceeded
                                                     : Verdict::kWithin;
  }

  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  const size_t bytes_max_;
  std::atomic<size_t> bytes_{0};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_HALF_RECEIVED_H_
