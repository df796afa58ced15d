#ifndef FIFOBUS_TESTS_FUZZ_CORE_BUS_H_
#define FIFOBUS_TESTS_FUZZ_CORE_BUS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/sessions/session.h"
#include "proto/version.h"
#include "tests/support/core_fakes.h"
#include "tests/support/group_fakes.h"
#include "tests/support/session_fixture.h"

namespace fifobus::fuzz {

// The core of a broker without an operating system.
//
// Single-threaded.
struct CoreBus {
  BrokerOptions options;
  Counters counters;
  SubscriptionTable table;
  RetainedStore retained{options, counters};
  TopicStats topic_stats{options.topic_stats_max};
  Router router{options, table, counters, topic_stats, nullptr, &retained};
  NoStats stats;
  IdPool ids;
  FakeGroupHost host;
  GroupTable groups{options, table, ids, counters, host};
  PublisherClaims publishers;
  const std::function<void()> on_subscribed = [] {};
  uint64_t sessions = 0;
};

// One session of it, whose client writes in pieces.
//
// Single-threaded.
class CoreSession {
 public:
  explicit CoreSession(CoreBus& bus, size_t room = SIZE_MAX)
      : egress_(std::make_shared<Egress>(bus.ids.Acquire(),
                                         EgressFormat::kFrames, bus.options,
                                         sink_, bus.counters)),
        session_(++bus.sessions,
                 {bus.options, bus.table, bus.router, bus.counters, bus.stats,
                  bus.on_subscribed, bus.retained, bus.groups, bus.publishers,
                  /*worker=*/0},
                 egress_) {
    sink_->room = room;
    session_.SetValve(valve_);
  }
  ~CoreSession() { End(); }
  CoreSession(const CoreSession&) = delete;
  CoreSession& operator=(const CoreSession&) = delete;

  // As an ingress passes bytes: with those in front that were not taken.
  void Write(std::string_view bytes) {
    if (closed_ || bytes.empty()) return;
    kept_ += bytes;
    const ChunkRef chunk = Chunk::CopyOf(kept_);
    const FeedResult result =
        session_.OnBytes(chunk, {chunk->bytes(), kept_.size()});
    kept_.erase(0, result.bytes_taken);
    closed_ = result.outcome == FeedOutcome::kClose;
  }

  void Greet() {
    pb::Frame frame;
    frame.mutable_hello()->set_protocol_version(kProtocolVersion);
    Write(ControlFrame(frame));
  }
  void Subscribe(const std::string& pattern) {
    pb::Frame frame;
    frame.mutable_subscribe()->set_request_id(1);
    frame.mutable_subscribe()->set_pattern(pattern);
    Write(ControlFrame(frame));
  }

  // The client is gone.
  void End() {
    if (ended_) return;
    ended_ = true;
    if (!closed_) (void)session_.OnHangUp(kept_);
    session_.EndSubscriptions();
    session_.EndMemberships();
    session_.PublishEnd("");
    session_.Release();
  }

  bool closed() const { return closed_; }
  const std::string& written() const { return sink_->written; }

 private:
  const std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  const std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  const std::shared_ptr<Egress> egress_;
  Session session_;
  std::string kept_;
  bool closed_ = false;
  bool ended_ = false;
};

// An honest publisher and an honest subscriber, whom nothing that others do may
// disturb.
//
// Single-threaded.
class HonestPair {
 public:
  // `seed` goes into the payloads, so that nobody else's look like them.
  HonestPair(CoreBus& bus, uint64_t seed)
      : publisher_(bus), subscriber_(bus), seed_(std::to_string(seed) + "#") {
    publisher_.Greet();
    subscriber_.Greet();
    subscriber_.Subscribe("honest/*");
  }

  void Publish() {
    payloads_.push_back(seed_ + std::to_string(payloads_.size()));
    publisher_.Write(MessageFrame("honest/topic", payloads_.back()));
  }

  // All that was published has arrived, once and in order, in whole frames.
  bool IsServed() const {
    const SplitFrames split = Split(subscriber_.written());
    std::vector<std::string> arrived;
    for (const std::string& frame : split.frames) {
      const FrameView view = ReadWholeFrame(frame);
      if (view.fault != FrameFault::kNone) return false;
      if (view.kind != FrameKind::kMessage) continue;
      const MessageView message = ReadMessage(view.member);
      if (message.fault != FrameFault::kNone) return false;
      if (message.payload.starts_with(seed_)) {
        arrived.emplace_back(message.payload);
      }
    }
    return split.rest.empty() && arrived == payloads_ && !publisher_.closed() &&
           !subscriber_.closed();
  }

 private:
  CoreSession publisher_;
  CoreSession subscriber_;
  const std::string seed_;
  std::vector<std::string> payloads_;
};

// Of the whole input, so that no part of it can name it.
inline uint64_t SeedOf(const uint8_t* data, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3;
  return hash;
}

}  // namespace fifobus::fuzz

#endif  // FIFOBUS_TESTS_FUZZ_CORE_BUS_H_
