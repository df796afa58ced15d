#include "broker/core/readers/message_filter.h"

#include <cstring>

#include "broker/base/check.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"
#include "proto/varint.h"

namespace fifobus {
namespace {

constexpr char LengthTag(uint32_t field) {
  return static_cast<char>(field << 3 | 2);
}

// Removes a field's tag and its length from the front. Returns the length.
size_t TakeLength(std::string_view& bytes, char tag) {
  FIFOBUS_CHECK(!bytes.empty() && bytes.front() == tag);
  bytes.remove_prefix(1);
  const VarintResult length = TakeVarint(bytes);
  FIFOBUS_CHECK(length.ok && length.value <= bytes.size());
  return length.value;
}

}  // namespace

StoredUnit FirstStoredUnit(std::string_view bytes) {
  std::string_view frame = bytes.substr(kStoredDeliveryBytes);
  const FrameExtent extent = FindFrame(frame, frame.size());
  FIFOBUS_CHECK(extent.state == FrameExtent::State::kWhole);
  StoredUnit unit;
  unit.bytes = bytes.substr(0, kStoredDeliveryBytes + extent.frame_bytes);
  frame = frame.substr(kFramePrefixBytes);
  (void)TakeLength(frame,
                   LengthTag(static_cast<uint32_t>(FrameKind::kMessage)));
  // A Message begins with its topic.
  const size_t topic_bytes = TakeLength(frame, LengthTag(1));
  unit.topic = frame.substr(0, topic_bytes);
  return unit;
}

uint64_t StoredOffset(std::string_view bytes) {
  // Prefix, the member's tag and length, the field's tag: FRAMING.md.
  constexpr size_t kOffsetAt = kFramePrefixBytes + 3;
  uint64_t offset = 0;
  FIFOBUS_CHECK(bytes.size() >= kStoredDeliveryBytes);
  std::memcpy(&offset, bytes.data() + kOffsetAt, sizeof(offset));
  return offset;
}

void MessageFilter::Look(std::string_view topic) {
  topic_ = topic;
  matches_ = fifobus::Matches(pattern_, topic);
}

}  // namespace fifobus
