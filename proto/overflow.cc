#include "proto/overflow.h"

#include "proto/frame.pb.h"

namespace fifobus {

std::string_view OverflowName(Overflow overflow) {
  for (const auto& [name, each] : kOverflowNames) {
    if (each == overflow) return name;
  }
  return "";
}

std::optional<Overflow> OverflowNamed(std::string_view name) {
  for (const auto& [each, overflow] : kOverflowNames) {
    if (each == name) return overflow;
  }
  return std::nullopt;
}

pb::Overflow OverflowInFrame(Overflow overflow) {
  switch (overflow) {
    case Overflow::kDropOldest:
      return pb::OVERFLOW_DROP_OLDEST;
    case Overflow::kDropNewest:
      return pb::OVERFLOW_DROP_NEWEST;
    case Overflow::kLatest:
      return pb::OVERFLOW_LATEST;
    case Overflow::kDisconnect:
      return pb::OVERFLOW_DISCONNECT;
    case Overflow::kBlock:
      return pb::OVERFLOW_BLOCK;
  }
  return pb::OVERFLOW_UNSPECIFIED;
}

Overflow OverflowOf(pb::Overflow overflow) {
  switch (overflow) {
    case pb::OVERFLOW_DROP_NEWEST:
      return Overflow::kDropNewest;
    case pb::OVERFLOW_LATEST:
      return Overflow::kLatest;
    case pb::OVERFLOW_DISCONNECT:
      return Overflow::kDisconnect;
    case pb::OVERFLOW_BLOCK:
      return Overflow::kBlock;
    default:
      return Overflow::kDropOldest;
  }
}

}  // namespace fifobus
