// The broker's core on several workers at once, without an operating system:
// sessions of each worker publish to those of all, subscribe, unsubscribe, join
// groups, read slowly, and end, in an order drawn from a seed. Meant for
// ThreadSanitizer; what must hold whatever the order is checked everywhere.

#include <atomic>
#include <barrier>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "broker/core/sessions/session.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

constexpr int kWorkers = 3;
constexpr int kSteps = 1500;

// Tasks of one worker, as its loop would run them.
class Tasks {
 public:
  void Post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  void Run() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
  }

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
};

// A pipe whose reader is on one thread and whose writers are on any.
class SharedSink : public Sink {
 public:
  explicit SharedSink(std::function<void()> start_clock)
      : start_clock_(std::move(start_clock)) {}

  SinkResult Write(absl::Span<const Slice> slices, const Staged*) override {
    const std::lock_guard lock(mutex_);
    SinkResult result;
    for (const Slice& slice : slices) {
      const size_t part = std::min(slice.size, room_);
      written_.append(slice.bytes, part);
      room_ -= part;
      result.bytes_taken += part;
      if (part < slice.size) {
        result.outcome = SinkOutcome::kWouldBlock;
        break;
      }
    }
    return result;
  }
  void StartStallClock() override { start_clock_(); }
  void RequestEnd() override {}

  void MakeRoom(size_t bytes) {
    const std::lock_guard lock(mutex_);
    room_ += bytes;
  }
  // The whole frames since the last call.
  std::vector<std::string> Read() {
    const std::lock_guard lock(mutex_);
    SplitFrames split = Split(written_);
    written_ = split.rest;
    return split.frames;
  }

 private:
  const std::function<void()> start_clock_;
  std::mutex mutex_;
  size_t room_ = 1000;
  std::string written_;
};

class NoStats : public StatsSource {
 public:
  pb::StatsReply CollectStats() const override { return {}; }
  pb::StatsReply CollectTopic(const std::string&) const override { return {}; }
};

// Runs what groups want run later on the first worker, soon.
class SharedHost : public GroupHost {
 public:
  explicit SharedHost(Tasks& tasks) : tasks_(tasks) {}
  absl::Duration Now() const override { return absl::Seconds(now_++ / 100); }
  void RunAfter(absl::Duration, std::function<void()> task) override {
    tasks_.Post(std::move(task));
  }
  void Post(std::function<void()> task) override {
    tasks_.Post(std::move(task));
  }
  size_t worker() const override { return 0; }
  void Publish(DeadLetter) override {}

 private:
  Tasks& tasks_;
  mutable std::atomic<int64_t> now_{0};
};

// What all workers share.
struct Core {
  Core() {
    options.egress_queue_bytes_max = 4000;
    options.copied_rest_bytes_max = 100;
    options.routes_max = 6;
    options.group_run_messages_max = 4;
  }
  BrokerOptions options;
  Counters counters;
  SubscriptionTable table;
  TopicStats topic_stats{4};
  RetainedStore retained{options, counters};
  IdPool ids;
  std::vector<Tasks> tasks{kWorkers};
  SharedHost host{tasks[0]};
  GroupTable groups{options, table, ids, counters, host};
  PublisherClaims publishers;
  NoStats stats;
  const std::function<void()> on_subscribed = [] {};
  std::atomic<uint64_t> sessions{0};
  std::atomic<uint64_t> published{0};
  std::atomic<uint64_t> published_work{0};
  // Of members of the group without acks.
  std::atomic<uint64_t> worked{0};
};

pb::Frame HelloFrame(pb::Overflow overflow) {
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_overflow(overflow);
  return frame;
}

pb::Frame SubscribeFrame(const std::string& pattern, const std::string& group,
                         bool acks) {
  pb::Frame frame;
  frame.mutable_subscribe()->set_request_id(1);
  frame.mutable_subscribe()->set_pattern(pattern);
  frame.mutable_subscribe()->set_group(group);
  if (acks) frame.mutable_subscribe()->mutable_acks()->set_unacked_max(3);
  return frame;
}

enum class Role {
  kAll,      // subscribes to everything, from the beginning to the end
  kFickle,   // subscribes to one topic and unsubscribes
  kMember,   // of the group without acks
  kAcking,   // of the group with acks
  kLeaving,  // the same as kMember, but ends and comes again
};

// One client. All is called on its worker's thread.
class Client {
 public:
  Client(Core& core, Router& router, Role role, pb::Overflow overflow)
      : core_(core),
        role_(role),
        id_(core.ids.Acquire()),
        sink_(std::make_shared<SharedSink>(
            [timed_out = timed_out_] { timed_out->store(true); })),
        egress_(std::make_shared<Egress>(id_, EgressFormat::kFrames,
                                         core.options, sink_, core.counters)),
        session_(++core.sessions,
                 {core.options, core.table, router, core.counters, core.stats,
                  core.on_subscribed, core.retained, core.groups,
                  core.publishers, /*worker=*/0},
                 egress_) {
    session_.SetValve(valve_);
    Send(ControlFrame(HelloFrame(overflow)));
    if (role_ == Role::kAll) Subscribe("**", "");
    if (role_ == Role::kMember || role_ == Role::kLeaving) {
      Subscribe("work", "g");
    }
    if (role_ == Role::kAcking) Subscribe("work", "acked", /*acks=*/true);
  }

  // All that came is read; then it is gone.
  void End() {
    session_.EndSubscriptions();
    Read();
    session_.EndMemberships();
    core_.ids.GiveBack(id_);
  }

  void Publish(const std::string& topic, int count, std::string_view payload) {
    if (valve_->pauses > 0) return;
    std::string frames;
    for (int i = 0; i < count; ++i) {
      frames += MessageFrame(topic, fmt::format("{}:{}:{}", session_.number(),
                                                ++sequence_, payload));
    }
    core_.published += static_cast<uint64_t>(count);
    if (topic == "work") core_.published_work += static_cast<uint64_t>(count);
    Send(frames);
  }

  void ToggleSubscription() {
    if (role_ != Role::kFickle) return;
    if (subscribed_) {
      pb::Frame frame;
      frame.mutable_unsubscribe()->set_request_id(++requests_);
      frame.mutable_unsubscribe()->set_pattern("t/fickle");
      Send(ControlFrame(frame));
    } else {
      Subscribe("t/fickle", "");
    }
    subscribed_ = !subscribed_;
  }

  void MakeRoom(size_t bytes) {
    sink_->MakeRoom(bytes);
    egress_->OnWritable();
    if (timed_out_->exchange(false)) egress_->OnStallTimeout();
    Read();
  }

  Role role() const { return role_; }
  uint64_t accounted() const { return received_ + announced_; }
  int pauses() const { return valve_->pauses; }

 private:
  void Send(const std::string& bytes) {
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    ASSERT_EQ(session_.OnBytes(chunk, chunk->view()).outcome,
              FeedOutcome::kContinue);
  }
  void Subscribe(const std::string& pattern, const std::string& group,
                 bool acks = false) {
    ++asked_;
    Send(ControlFrame(SubscribeFrame(pattern, group, acks)));
  }

  void Read() {
    std::vector<uint64_t> acks;
    for (const std::string& bytes : sink_->Read()) {
      const pb::Frame frame = Parse(bytes);
      if (frame.has_delivery()) acks.push_back(frame.delivery().ack_id());
      if (frame.has_gap()) announced_ += frame.gap().messages();
      if (frame.has_gap() && IsWorker()) core_.worked += frame.gap().messages();
      if (frame.has_subscribed()) ++answered_;
      if (frame.has_subscribed()) listens_ = true;
      if (frame.has_unsubscribed()) listens_ = false;
      if (frame.has_message()) OnMessage(frame.message());
    }
    if (acks.empty()) return;
    pb::Frame frame;
    for (const uint64_t id : acks) frame.mutable_ack()->add_ack_ids(id);
    Send(ControlFrame(frame));
  }

  bool IsWorker() const {
    return role_ == Role::kMember || role_ == Role::kLeaving;
  }

  void OnMessage(const pb::Message& message) {
    ++received_;
    if (IsWorker()) ++core_.worked;
    // It may come before the Subscribed that it belongs to.
    if (role_ == Role::kFickle) {
      EXPECT_TRUE(listens_ || answered_ < asked_)
          << "a message after Unsubscribed";
    }
    if (role_ == Role::kAcking) return;  // which get some again
    const std::vector<std::string> parts =
        absl::StrSplit(message.payload(), ':');
    uint64_t publisher = 0;
    uint64_t sequence = 0;
    ASSERT_TRUE(absl::SimpleAtoi(parts[0], &publisher));
    ASSERT_TRUE(absl::SimpleAtoi(parts[1], &sequence));
    EXPECT_GT(sequence, std::exchange(last_of_[publisher], sequence));
  }

  Core& core_;
  const Role role_;
  const uint32_t id_;
  const std::shared_ptr<FakeValve> valve_ = std::make_shared<FakeValve>();
  // That the stall timeout has passed. Said by any worker.
  const std::shared_ptr<std::atomic<bool>> timed_out_ =
      std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<SharedSink> sink_;
  const std::shared_ptr<Egress> egress_;
  Session session_;
  bool subscribed_ = false;  // as it was asked for last
  bool listens_ = false;     // as it was answered last
  uint64_t requests_ = 0;
  uint64_t asked_ = 0;     // Subscribe
  uint64_t answered_ = 0;  // Subscribed
  uint64_t sequence_ = 0;
  uint64_t received_ = 0;
  uint64_t announced_ = 0;
  std::map<uint64_t, uint64_t> last_of_;
};

// One worker's clients, for its thread.
class WorkerClients {
 public:
  WorkerClients(Core& core, int index, uint32_t seed)
      : core_(core),
        tasks_(core.tasks[static_cast<size_t>(index)]),
        random_(seed),
        router_(core.options, core.table, core.counters, core.topic_stats,
                nullptr, &core.retained) {
    static constexpr pb::Overflow kPolicies[kWorkers] = {
        pb::OVERFLOW_DROP_OLDEST, pb::OVERFLOW_DROP_NEWEST,
        pb::OVERFLOW_LATEST};
    Add(Role::kAll, kPolicies[index]);
    for (const Role role :
         {Role::kFickle, Role::kMember, Role::kAcking, Role::kLeaving}) {
      Add(role, pb::OVERFLOW_UNSPECIFIED);
    }
  }

  void Step() {
    tasks_.Run();
    Client& client = *clients_[Draw(static_cast<uint32_t>(clients_.size()))];
    switch (Draw(8)) {
      case 0:
      case 1:
        return client.ToggleSubscription();
      case 2:
        if (client.role() == Role::kLeaving && Draw(5) == 0) Restart(client);
        return;
      case 3:
      case 4:
        return client.MakeRoom(Draw(6000));
      default:
        static const std::vector<std::string> topics = {
            "work", "t/fickle", "t/1", "t/2", "t/3", "t/4", "t/5"};
        return client.Publish(topics[Draw(7)], 1 + static_cast<int>(Draw(5)),
                              std::string(Draw(300), 'x'));
    }
  }

  // One round of reading what is left, which may bring more.
  void ReadAll() {
    tasks_.Run();
    for (const auto& client : clients_) client->MakeRoom(1 << 20);
  }

  void Check() const {
    for (const auto& client : clients_) {
      EXPECT_EQ(client->pauses(), 0);
      if (client->role() == Role::kAll) {
        EXPECT_EQ(client->accounted(), core_.published.load());
      }
    }
  }

  void End() {
    for (const auto& client : clients_) client->End();
    clients_.clear();
    tasks_.Run();
  }

 private:
  uint32_t Draw(uint32_t bound) { return random_() % bound; }

  void Add(Role role, pb::Overflow overflow) {
    clients_.push_back(
        std::make_unique<Client>(core_, router_, role, overflow));
  }

  void Restart(Client& client) {
    client.End();
    std::erase_if(clients_,
                  [&](const auto& each) { return each.get() == &client; });
    Add(Role::kLeaving, pb::OVERFLOW_UNSPECIFIED);
  }

  Core& core_;
  Tasks& tasks_;
  std::mt19937 random_;
  Router router_;
  std::vector<std::unique_ptr<Client>> clients_;
};

void Simulate(uint32_t seed) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Core core;
  std::barrier together(kWorkers);
  std::vector<std::thread> threads;
  for (int index = 0; index < kWorkers; ++index) {
    threads.emplace_back([&, index] {
      WorkerClients worker(core, index, seed + static_cast<uint32_t>(index));
      together.arrive_and_wait();  // who subscribes to all is there
      for (int step = 0; step < kSteps; ++step) worker.Step();
      together.arrive_and_wait();
      for (int round = 0; round < 20; ++round) {
        worker.ReadAll();
        together.arrive_and_wait();
      }
      worker.Check();
      together.arrive_and_wait();
      worker.End();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(core.worked.load() + core.counters.messages_taken_along.value(),
            core.published_work.load())
      << "of the group: received, announced, or begun when its member left";
  uint64_t counted = core.topic_stats.forgotten().messages;
  core.topic_stats.Collect([&](const std::string&, const TopicSum& sum) {
    counted += sum.messages;
  });
  EXPECT_EQ(counted, core.published.load());
  EXPECT_GT(core.published.load(), 100u);
  core.groups.EndAll();
}

TEST(CoreThreads, KeepTheirBooksTogether) {
  const uint32_t first =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed()) *
      1000;
  for (uint32_t i = 0; i < 5 && !testing::Test::HasFailure(); ++i) {
    Simulate(first + 10 * i);
  }
}

}  // namespace
}  // namespace fifobus
