#ifndef FIFOBUS_BROKER_CORE_GROUPS_FRAME_CURSOR_H_
#define FIFOBUS_BROKER_CORE_GROUPS_FRAME_CURSOR_H_

#include <cstddef>
#include <string_view>

#include "absl/types/span.h"
#include "broker/base/check.h"
#include "broker/seam/sink.h"
#include "proto/frame.h"

namespace fifobus {

// Walks over slices of whole frames, frame by frame. A copy walks on its own.
// Views live as long as the slices. Thread-compatible.
class FrameCursor {
 public:
  // REQUIRES: the slices are not empty, and each holds whole frames.
  explicit FrameCursor(absl::Span<const Slice> slices) : slices_(slices) {
    if (!slices_.empty()) Enter();
  }

  bool done() const { return slices_.empty(); }
  // REQUIRES: !done().
  std::string_view frame() const { return rest_.substr(0, frame_bytes_); }
  // All frames before frame().
  size_t bytes_passed() const { return bytes_passed_; }

  // REQUIRES: !done().
  void Advance() {
    bytes_passed_ += frame_bytes_;
    rest_.remove_prefix(frame_bytes_);
    if (!rest_.empty()) {
      Measure();
      return;
    }
    slices_.remove_prefix(1);
    if (!slices_.empty()) Enter();
  }

 private:
  void Enter() {
    rest_ = {slices_.front().bytes, slices_.front().size};
    Measure();
  }
  void Measure() {
    const FrameExtent extent = FindFrame(rest_, rest_.size());
    FIFOBUS_CHECK(extent.state == FrameExtent::State::kWhole);
    frame_bytes_ = extent.frame_bytes;
  }

  absl::Span<const Slice> slices_;
  std::string_view rest_;  // of the first slice
  size_t frame_bytes_ = 0;
  size_t bytes_passed_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_FRAME_CURSOR_H_
