// Frames: what encoding, finding and reading one costs, by payload.
#include <string>

#include "benchmark/benchmark.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

MessageFields Fields(const std::string& payload) {
  MessageFields fields;
  fields.topic = "sensors/kitchen/temperature";
  fields.payload = payload;
  return fields;
}

void BM_Encode(benchmark::State& state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  const MessageFields fields = Fields(payload);
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendMessageFrame(fields, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Encode)->RangeMultiplier(16)->Range(16, 1 << 20);

// As the broker and the client do for each frame of a chunk. The payload is
// jumped over, so its size must not matter.
void BM_Decode(benchmark::State& state) {
  const std::string payload(static_cast<size_t>(state.range(0)), 'x');
  std::string frame;
  AppendMessageFrame(Fields(payload), frame);
  const std::string_view bytes = frame;
  for (auto _ : state) {
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    const MessageView message =
        ReadMessageFrame(bytes.substr(0, extent.frame_bytes));
    benchmark::DoNotOptimize(message.topic.data());
  }
}
BENCHMARK(BM_Decode)->RangeMultiplier(16)->Range(16, 1 << 20);

}  // namespace
}  // namespace fifobus
