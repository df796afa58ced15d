#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_FRAME_WALK_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_FRAME_WALK_H_

#include <string_view>

#include "proto/frame.h"

namespace fifobus {

// Calls visit(FrameView) for each whole frame from the front of `bytes` on that
// can be read. Bytes behind the last whole one are left. Thread-safe (no state).
template <typename Visitor>
void ForEachFrame(std::string_view bytes, const Visitor& visit) {
  while (true) {
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state != FrameExtent::State::kWhole) return;
    const FrameView view = ReadWholeFrame(bytes.substr(0, extent.frame_bytes));
    bytes.remove_prefix(extent.frame_bytes);
    if (view.fault == FrameFault::kNone) visit(view);
  }
}

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_FRAME_WALK_H_
