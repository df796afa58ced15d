// Who gets a message: matching a topic that is new, and routing chunks of
// messages on topics that are known, against few and many subscriptions.
#include <memory>
#include <string>

#include "bench/parts/null_sink.h"
#include "benchmark/benchmark.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

// A bus with so many patterns that do not match "plant/7/motor/speed", and
// three that do.
class Bus {
 public:
  explicit Bus(int64_t patterns) {
    for (int64_t i = 0; i < patterns; ++i) {
      const std::string topic = "plant/" + std::to_string(i + 100);
      Subscribe(i % 3 == 0   ? topic + "/*/speed"
                : i % 3 == 1 ? topic + "/**"
                             : topic + "/motor/speed");
    }
    for (const char* pattern :
         {"plant/7/motor/speed", "plant/*/motor/*", "plant/7/**"}) {
      Subscribe(pattern);
    }
  }

  const SubscriptionTable& table() const { return table_; }
  Router& router() { return router_; }

 private:
  void Subscribe(const std::string& pattern) {
    table_.Add(pattern,
               std::make_shared<Egress>(next_id_++, EgressFormat::kFrames,
                                        options_, sink_, counters_));
  }

  BrokerOptions options_;
  Counters counters_;
  SubscriptionTable table_;
  uint32_t next_id_ = 0;
  std::shared_ptr<NullSink> sink_ = std::make_shared<NullSink>();
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_, table_, counters_, topic_stats_};
};

void BM_MatchNewTopic(benchmark::State& state) {
  const Bus bus(state.range(0));
  const auto snapshot = bus.table().snapshot();
  for (auto _ : state) {
    benchmark::DoNotOptimize(snapshot->Match("plant/7/motor/speed"));
  }
}
BENCHMARK(BM_MatchNewTopic)->RangeMultiplier(10)->Range(10, 100000);

// One chunk of 1000 messages on two topics in turn, as a publisher's batch.
void BM_RouteKnownTopics(benchmark::State& state) {
  constexpr int kMessages = 1000;
  Bus bus(state.range(0));
  std::string bytes;
  for (int i = 0; i < kMessages; ++i) {
    MessageFields fields;
    fields.topic = i % 2 == 0 ? "plant/7/motor/speed" : "plant/8/motor/speed";
    fields.payload = "1234567890123456";
    AppendMessageFrame(fields, bytes);
  }
  const ChunkRef chunk = Chunk::CopyOf(bytes);
  const std::shared_ptr<Valve> feeder;
  for (auto _ : state) {
    bus.router().Begin(chunk, feeder, PublisherId());
    std::string_view rest(chunk->bytes(), bytes.size());
    while (!rest.empty()) {
      const FrameExtent extent = FindFrame(rest, kFrameBytesMaxDefault);
      const std::string_view frame = rest.substr(0, extent.frame_bytes);
      rest.remove_prefix(extent.frame_bytes);
      (void)bus.router().Add(frame, ReadMessageFrame(frame));
    }
    bus.router().Flush();
  }
  state.SetItemsProcessed(state.iterations() * kMessages);
}
BENCHMARK(BM_RouteKnownTopics)->RangeMultiplier(10)->Range(10, 100000);

}  // namespace
}  // namespace fifobus
