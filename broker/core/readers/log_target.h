#ifndef FIFOBUS_BROKER_CORE_READERS_LOG_TARGET_H_
#define FIFOBUS_BROKER_CORE_READERS_LOG_TARGET_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/types/span.h"
#include "broker/core/delivery/egress.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Where a cursor puts what it reads. Worker-affine: the cursor's.
class LogTarget {
 public:
  virtual ~LogTarget() = default;

  // Takes messages, each with its Delivery in front, or a Gap frame (a slice of
  // 0 messages), as far as there is room for whole ones. Returns the bytes
  // taken from the front of all slices. If that is less than all, the cursor is
  // to be told of room.
  virtual size_t Offer(absl::Span<const Slice> slices) = 0;

  // The same of messages that also lie in a file.
  virtual size_t OfferStored(absl::Span<const Slice> slices,
                             const StoredSlices& stored) {
    (void)stored;
    return Offer(slices);
  }
};

// A session's egress, or a queue group's.
//
// Worker-affine.
class EgressTarget : public LogTarget {
 public:
  explicit EgressTarget(std::shared_ptr<Egress> egress)
      : egress_(std::move(egress)) {}

  size_t Offer(absl::Span<const Slice> slices) override {
    return egress_->OfferIfRoom(slices).bytes_taken;
  }
  size_t OfferStored(absl::Span<const Slice> slices,
                     const StoredSlices& stored) override {
    return egress_->OfferIfRoom(slices, &stored).bytes_taken;
  }

 private:
  const std::shared_ptr<Egress> egress_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_READERS_LOG_TARGET_H_
