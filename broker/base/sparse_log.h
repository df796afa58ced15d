#ifndef FIFOBUS_BROKER_BASE_SPARSE_LOG_H_
#define FIFOBUS_BROKER_BASE_SPARSE_LOG_H_

#include <cstdint>
#include <optional>

namespace fifobus {

// Thins out the log lines of an event that a stream of garbage or a full disk
// may repeat for ever. The first event gets a line, then the second, the
// fourth, the eighth, and so on.
//
//   if (const auto refused = refused_lines_.Count()) {
//     LogWarning("line refused", {{"refused", *refused}});
//   }
//
// Thread-compatible.
class SparseLog {
 public:
  // Counts one more event. Returns how many there were if this one is worth a
  // line.
  std::optional<uint64_t> Count() {
    ++events_;
    if ((events_ & (events_ - 1)) != 0) return std::nullopt;
    return events_;
  }

 private:
  uint64_t events_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_SPARSE_LOG_H_
