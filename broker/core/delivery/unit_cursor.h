#ifndef FIFOBUS_BROKER_CORE_DELIVERY_UNIT_CURSOR_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_UNIT_CURSOR_H_

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Walks over slices of whole units, unit by unit: messages, those out of a log
// behind a Delivery, and control frames. A copy walks on its own. Views live as
// long as the slices. Thread-compatible.
class UnitCursor {
 public:
  // REQUIRES: the slices are not empty, and each holds whole units.
  explicit UnitCursor(absl::Span<const Slice> slices) : slices_(slices) {
    if (!slices_.empty()) Enter();
  }

  bool done() const { return slices_.empty(); }
  // REQUIRES: !done().
  const MessageUnit& unit() const { return unit_; }
  // All units before unit().
  size_t bytes_passed() const { return bytes_passed_; }

  // REQUIRES: !done().
  void Advance() {
    bytes_passed_ += unit_.bytes.size();
    rest_.remove_prefix(unit_.bytes.size());
    if (!rest_.empty()) {
      unit_ = FirstUnit(rest_);
      return;
    }
    slices_.remove_prefix(1);
    if (!slices_.empty()) Enter();
  }

 private:
  void Enter() {
    rest_ = {slices_.front().bytes, slices_.front().size};
    unit_ = FirstUnit(rest_);
  }

  absl::Span<const Slice> slices_;
  std::string_view rest_;  // of the first slice
  MessageUnit unit_;
  size_t bytes_passed_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_UNIT_CURSOR_H_
