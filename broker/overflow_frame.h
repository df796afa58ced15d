#ifndef FIFOBUS_BROKER_OVERFLOW_FRAME_H_
#define FIFOBUS_BROKER_OVERFLOW_FRAME_H_

#include "broker/overflow.h"
#include "proto/frame.pb.h"

// Overflow policies as frames name them. Thread-safe (no state).
namespace fifobus {

pb::Overflow OverflowInFrame(Overflow overflow);

// OVERFLOW_UNSPECIFIED and values of later versions are kDropOldest.
Overflow OverflowOf(pb::Overflow overflow);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_OVERFLOW_FRAME_H_
