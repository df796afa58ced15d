// A subscriber's queue: what a message costs that waits, and one that is
// dropped.
#include <array>
#include <string>

#include "benchmark/benchmark.h"
#include "broker/core/delivery/egress_queue.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

constexpr int kMessages = 256;

struct Frames {
  Frames() {
    MessageFields fields;
    fields.topic = "a/topic";
    fields.payload =
        "sixty-four bytes of payload, more or less, as it goes......";
    std::string frame;
    AppendMessageFrame(fields, frame);
    frame_bytes = frame.size();
    chunk = Chunk::Make(kMessages * frame_bytes);
    for (int i = 0; i < kMessages; ++i) {
      frame.copy(chunk->bytes() + i * frame_bytes, frame_bytes);
    }
  }
  Slice Message(int i) const {
    return {chunk->bytes() + i * frame_bytes, frame_bytes};
  }

  size_t frame_bytes = 0;
  ChunkRef chunk;
};

void BM_QueueAndWrite(benchmark::State& state) {
  const Frames frames;
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  std::array<Slice, 64> slices;
  for (auto _ : state) {
    for (int i = 0; i < kMessages; ++i) {
      queue.Push(QueuedAs::kFrames, frames.chunk, frames.Message(i), 0);
    }
    while (!queue.empty()) {
      const size_t count = queue.Peek(absl::MakeSpan(slices));
      queue.Consume(TotalBytes({slices.data(), count}));
    }
  }
  state.SetItemsProcessed(state.iterations() * kMessages);
}
BENCHMARK(BM_QueueAndWrite);

void BM_DropOldest(benchmark::State& state) {
  const Frames frames;
  EgressQueue queue(EgressQueue::Gaps::kFrames);
  for (auto _ : state) {
    for (int i = 0; i < kMessages; ++i) {
      queue.Push(QueuedAs::kFrames, frames.chunk, frames.Message(i), 0);
    }
    benchmark::DoNotOptimize(queue.DropOldest({0}));
    queue.Clear();
  }
  state.SetItemsProcessed(state.iterations() * kMessages);
}
BENCHMARK(BM_DropOldest);

}  // namespace
}  // namespace fifobus
