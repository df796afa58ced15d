#ifndef FIFOBUS_BENCH_PARTS_NULL_SINK_H_
#define FIFOBUS_BENCH_PARTS_NULL_SINK_H_

#include "broker/seam/sink.h"

namespace fifobus {

// Takes everything at once and keeps nothing.
class NullSink : public Sink {
 public:
  SinkResult Write(absl::Span<const Slice> slices, const Staged*) override {
    return {SinkOutcome::kAll, TotalBytes(slices)};
  }
  void StartStallClock() override {}
  void RequestEnd() override {}
};

}  // namespace fifobus

#endif  // FIFOBUS_BENCH_PARTS_NULL_SINK_H_
