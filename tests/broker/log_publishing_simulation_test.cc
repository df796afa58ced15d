// Sessions that publish to logs, on disks that fail, run full and die: names
// that are taken over, messages that are sent again, confirms of all levels.
// Several brokers follow each other on the same disks. What a session was told
// must be so in the end, whatever the disks did.
//
// The logs' committers are threads, so a seed gives the same steps, and not
// always the same course.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/sessions/session.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/core_fakes.h"
#include "tests/support/group_fakes.h"
#include "tests/support/log_model.h"
#include "tests/support/posted_tasks.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {
namespace {

constexpr int kPublishers = 4;  // the last one has no name

class NoStats : public StatsSource {
 public:
  pb::StatsReply CollectStats() const override { return {}; }
  pb::StatsReply CollectTopic(const std::string&) const override { return {}; }
};

struct Sent {
  std::string log;  // empty: none
  std::string publisher;
  uint64_t sequence = 0;
  std::string frame;
};

// A log over the lives of its brokers, and what was promised about it.
struct Storage {
  explicit Storage(uint32_t seed) : machine(seed) {}
  SimulatedMachine machine;
  std::map<uint64_t, std::string> stored;   // by offset: the frame
  std::map<std::string, uint64_t> repeats;  // by publisher: there, or later
};

// One life of a broker.
class BrokerLife {
 public:
  BrokerLife(std::map<std::string, Storage>& storages, std::mt19937& random)
      : storages_(storages), random_(random) {
    options_.log_cover_delay = absl::InfiniteDuration();
    options_.log_full_retry = absl::Milliseconds(1);
    options_.log_backlog_bytes_max = 4000;
    options_.log_segment_bytes = 10000;
    std::vector<LogTable::Entry> entries;
    for (auto& [name, storage] : storages_) {
      LogRule rule;
      rule.name = name;
      rule.pattern = name + "/**";
      auto log = ServedLog::Open(
          storage.machine.Mount(), rule, options_, 1,
          [this](size_t, absl::Duration, std::function<void()> task) {
            tasks_.Post(std::move(task));
          });
      if (!log.ok()) continue;  // the disk failed, or died at once
      logs_.push_back(*log);
      entries.push_back({rule.pattern, *log});
    }
    table_.SetLogs(LogTable(std::move(entries)));
    table_.Add("**", live_);
  }

  // What waits goes before the logs, and the logs before their machines.
  ~BrokerLife() {
    for (const auto& log : logs_) log->Close();
    tasks_.RunAll();
    for (const auto& client : clients_) {
      Collect(*client);
      client->session->EndSubscriptions();
      client->session->Release();
    }
    CheckLive();
    live_->Close();
    groups_.EndAll();
    table_.SetLogs(LogTable());
    router_.Refresh();
  }

  void Step() {
    const int publisher = static_cast<int>(Draw(kPublishers));
    Client*& client = current_[publisher];
    if (client == nullptr || Draw(20) == 0) {
      client = Connect(publisher);
    } else if (Draw(20) == 0) {
      Publish(*clients_[Draw(static_cast<uint32_t>(clients_.size()))]);
    } else if (Draw(4) == 0) {
      AwaitCommits();
      tasks_.RunAll();
    } else {
      Publish(*client);
    }
    for (const auto& each : clients_) Collect(*each);
  }

  size_t confirmed() const { return confirmed_; }
  size_t duplicates() const { return duplicates_; }
  size_t failures() const { return failures_; }

 private:
  struct Client {
    std::string publisher;
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<FakeValve> valve = std::make_shared<FakeValve>();
    std::unique_ptr<Session> session;
    bool over = false;
    uint64_t last_sequence = 0;
    uint64_t last_answered = 0;
  };

  uint32_t Draw(uint32_t bound) { return random_() % bound; }

  // Returns when each log has committed what it took, or cannot. On a machine
  // with nothing else to do, the steps would otherwise be over before that.
  void AwaitCommits() {
    for (const auto& log : logs_) {
      while (log->committed_offset() + 1 < log->log().next_offset() &&
             log->log().outcome() == LogOutcome::kDone) {
        std::this_thread::yield();
      }
    }
  }

  Client* Connect(int publisher) {
    auto client = std::make_unique<Client>();
    if (publisher + 1 < kPublishers) {
      client->publisher = fmt::format("till-{}", publisher);
    }
    client->session = std::make_unique<Session>(
        clients_.size() + 1,
        SessionContext{options_, table_, router_, counters_, stats_,
                       on_subscribed_, retained_, groups_, publishers_,
                       /*worker=*/0},
        std::make_shared<Egress>(ids_.Acquire(), EgressFormat::kFrames,
                                 options_, client->sink, counters_));
    client->session->SetValve(client->valve);
    pb::Frame hello;
    hello.mutable_hello()->set_protocol_version(kProtocolVersion);
    hello.mutable_hello()->set_publisher(client->publisher);
    Feed(*client, ControlFrame(hello));
    const SplitFrames split = Split(client->sink->written);
    const pb::Frame welcome = Parse(split.frames.at(0));
    for (const auto& mark : welcome.welcome().publisher_marks()) {
      client->last_sequence =
          std::max(client->last_sequence, mark.last_sequence());
    }
    client->sink->written.clear();
    clients_.push_back(std::move(client));
    return clients_.back().get();
  }

  void Feed(Client& client, const std::string& bytes) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    const FeedResult result = client.session->OnBytes(chunk, chunk->view());
    if (result.outcome != FeedOutcome::kClose) return;
    client.over = true;
    client.session->EndSubscriptions();
    client.session->Release();
  }

  void Publish(Client& client) {
    if (client.over || client.valve->pauses > 0) return;
    static const std::vector<std::string> kTopics = {"a/x", "a/y", "b/x", "c"};
    std::string bytes;
    for (uint32_t i = 0; i <= Draw(5); ++i) {
      const std::string& topic = kTopics[Draw(4)];
      MessageFields fields;
      fields.topic = topic;
      fields.confirm_id = ++last_id_;
      fields.confirm_level = Draw(4);
      Sent sent;
      if (!client.publisher.empty()) {
        // One in four is sent again.
        if (client.last_sequence == 0 || Draw(4) > 0) ++client.last_sequence;
        fields.sequence = client.last_sequence -
                          std::min<uint64_t>(client.last_sequence - 1,
                                             Draw(4) == 0 ? Draw(5) : 0);
      }
      const std::string payload = fmt::format(
          "{}:{}:{}", client.publisher, last_id_, std::string(Draw(300), 'x'));
      fields.payload = payload;
      AppendMessageFrame(fields, sent.frame);
      sent.log = topic == "c" ? "" : topic.substr(0, 1);
      sent.publisher = client.publisher;
      sent.sequence = fields.sequence;
      bytes += sent.frame;
      sent_.emplace(last_id_, std::move(sent));
    }
    Feed(client, bytes);
  }

  // Reads the client's answers.
  void Collect(Client& client) {
    const SplitFrames split = Split(client.sink->written);
    client.sink->written.clear();
    for (const std::string& frame : split.frames) {
      const pb::Frame answer = Parse(frame);
      if (answer.has_error()) {
        EXPECT_EQ(answer.error().code(), pb::Error::CODE_FENCED);
        EXPECT_EQ(frame, split.frames.back());
        EXPECT_TRUE(client.over);
      } else {
        OnConfirm(answer.confirm());
        EXPECT_GT(answer.confirm().confirm_id(), client.last_answered);
        client.last_answered = answer.confirm().confirm_id();
      }
    }
  }

  void OnConfirm(const pb::Confirm& confirm) {
    const Sent& sent = sent_.at(confirm.confirm_id());
    if (confirm.duplicate()) {
      ++duplicates_;
    } else {
      delivered_.insert(sent.frame);
    }
    if (confirm.failure() != pb::Confirm::FAILURE_NONE) ++failures_;
    if (confirm.level() != pb::Confirm::LEVEL_STORED) return;
    ++confirmed_;
    Storage& storage = storages_.at(sent.log);
    if (confirm.duplicate()) {
      uint64_t& repeat = storage.repeats[sent.publisher];
      repeat = std::max(repeat, sent.sequence);
    } else {
      storage.stored[confirm.offset()] = sent.frame;
    }
  }

  // Each message that was confirmed, and no repeat, came live, once. Those
  // whose confirms were lost with their sessions came too.
  void CheckLive() const {
    std::set<std::string> live;
    for (const std::string& frame : Split(live_sink_->written).frames) {
      EXPECT_TRUE(live.insert(frame).second) << "twice";
    }
    for (const std::string& frame : delivered_) {
      EXPECT_EQ(live.count(frame), 1u);
    }
  }

  std::map<std::string, Storage>& storages_;
  std::mt19937& random_;
  BrokerOptions options_;
  PostedTasks tasks_;
  Counters counters_;
  SubscriptionTable table_;
  RetainedStore retained_{options_, counters_};
  TopicStats topic_stats_{options_.topic_stats_max};
  Router router_{options_, table_, counters_, topic_stats_};
  NoStats stats_;
  IdPool ids_;
  FakeGroupHost host_;
  GroupTable groups_{options_, table_, ids_, counters_, host_};
  PublisherClaims publishers_;
  const std::function<void()> on_subscribed_ = [] {};
  const std::shared_ptr<FakeSink> live_sink_ = std::make_shared<FakeSink>();
  const std::shared_ptr<Egress> live_ = std::make_shared<Egress>(
      ids_.Acquire(), EgressFormat::kFrames, options_, live_sink_, counters_);
  std::vector<std::shared_ptr<ServedLog>> logs_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<int, Client*> current_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Sent> sent_;
  std::set<std::string> delivered_;
  size_t confirmed_ = 0;
  size_t duplicates_ = 0;
  size_t failures_ = 0;
};

// What the log has in the end, against what was promised.
void CheckStored(const std::string& name, Storage& storage) {
  SimulatedMachine& machine = storage.machine;
  machine.DieAfter(UINT32_MAX);
  machine.failures_per_mille = 0;
  machine.sync_failures_per_mille = 0;
  machine.capacity_bytes = UINT64_MAX;
  const BrokerOptions options;
  LogRule rule;
  rule.name = name;
  LogObserver observer;
  const DurableLog::Opened opened =
      DurableLog::Open(machine.Mount(), rule, options, observer);
  ASSERT_TRUE(opened.log) << opened.reason;
  std::map<uint64_t, std::string> frames;
  std::map<std::string, uint64_t> last;  // sequences, by publisher
  uint64_t next = 1;
  while (next <= opened.log->committed_offset()) {
    const LogReadResult read = opened.log->Read(next, 1);
    ASSERT_EQ(read.outcome, LogReadOutcome::kExtents) << next;
    const SplitFrames split = Split(BodyOf(read.extents.at(0)));
    for (size_t i = 0; i + 1 < split.frames.size(); i += 2) {
      const pb::Message message = Parse(split.frames[i + 1]).message();
      const std::string& payload = message.payload();
      const std::string publisher = payload.substr(0, payload.find(':'));
      if (!publisher.empty()) {
        EXPECT_GT(message.sequence(), last[publisher]) << "twice, or late";
        last[publisher] = message.sequence();
      }
      frames[next++] = split.frames[i + 1];
    }
  }
  for (const auto& [offset, frame] : storage.stored) {
    EXPECT_EQ(frames[offset], frame) << name << " " << offset;
  }
  for (const auto& [publisher, sequence] : storage.repeats) {
    const auto mark = opened.log->FindPublisher(publisher);
    EXPECT_TRUE(mark && mark->last_sequence >= sequence) << publisher;
  }
}

TEST(LogPublishingSimulation, WhatASessionIsToldOfStoredMessagesIsSo) {
  StartLog(LogLevel::kOff);
  const uint32_t first =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed()) *
      1000;
  size_t confirmed = 0;
  size_t duplicates = 0;
  size_t failures = 0;
  for (uint32_t seed = first; seed < first + 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    std::map<std::string, Storage> storages;
    storages.try_emplace("a", random());
    storages.try_emplace("b", random());
    for (int life = 0; life < 4; ++life) {
      for (auto& [name, storage] : storages) {
        SimulatedMachine& machine = storage.machine;
        machine.short_per_mille = 100;
        machine.sync_failures_per_mille = random() % 3 == 0 ? 20 : 0;
        machine.capacity_bytes =
            random() % 3 == 0 ? machine.used_bytes() + 60000 : UINT64_MAX;
        machine.DieAfter(random() % 2 == 0 ? random() % 200 : UINT32_MAX);
      }
      {
        BrokerLife broker(storages, random);
        for (int step = 0; step < 200; ++step) broker.Step();
        confirmed += broker.confirmed();
        duplicates += broker.duplicates();
        failures += broker.failures();
      }
      for (auto& [name, storage] : storages) storage.machine.CutPower();
    }
    for (auto& [name, storage] : storages) CheckStored(name, storage);
    if (testing::Test::HasFailure()) break;
  }
  // It would say little if one of them never happened.
  EXPECT_GT(confirmed, 1000u);
  EXPECT_GT(duplicates, 100u);
  EXPECT_GT(failures, 100u);
}

}  // namespace
}  // namespace fifobus
