#include "broker/overflow_frame.h"

namespace fifobus {

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
