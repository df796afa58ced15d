#include "broker/core/delivery/message_unit.h"

#include "broker/base/check.h"

namespace fifobus {
namespace {

size_t FirstFrameBytes(std::string_view bytes) {
  const FrameExtent extent = FindFrame(bytes, bytes.size());
  FIFOBUS_CHECK(extent.state == FrameExtent::State::kWhole);
  return extent.frame_bytes;
}

// The broker writes Delivery frames itself, so their first byte is the tag of
// Frame.delivery. No other frame of a stream begins with that byte.
bool BeginsWithDelivery(std::string_view bytes) {
  constexpr char kDeliveryTag =
      static_cast<char>(static_cast<uint32_t>(FrameKind::kDelivery) << 3 | 2);
  return bytes[kFramePrefixBytes] == kDeliveryTag;
}

}  // namespace

MessageUnit FirstUnit(std::string_view bytes) {
  const size_t first = FirstFrameBytes(bytes);
  if (!BeginsWithDelivery(bytes)) {
    const std::string_view frame = bytes.substr(0, first);
    return {frame, frame};
  }
  const size_t second = FirstFrameBytes(bytes.substr(first));
  return {bytes.substr(0, first + second), bytes.substr(first, second)};
}

}  // namespace fifobus
