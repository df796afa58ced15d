#ifndef FIFOBUS_TESTS_SUPPORT_GROUP_FAKES_H_
#define FIFOBUS_TESTS_SUPPORT_GROUP_FAKES_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/delivery/egress_transfer.h"
#include "broker/core/delivery/id_pool.h"
#include "broker/core/groups/dead_letter.h"
#include "broker/core/groups/group_host.h"
#include "broker/core/groups/group_table.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/counters.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

// Queue groups without an operating system: time that a test moves, and a core
// around them.
namespace fifobus {

class FakeGroupHost : public GroupHost {
 public:
  absl::Duration Now() const override { return now_; }
  void RunAfter(absl::Duration delay, std::function<void()> task) override {
    tasks_.emplace(now_ + delay, std::move(task));
  }
  void Post(std::function<void()> task) override {
    RunAfter(absl::ZeroDuration(), std::move(task));
  }
  size_t worker() const override { return 0; }
  void Publish(DeadLetter letter) override {
    letters.push_back(std::move(letter));
  }

  // Lets time pass, and runs what is due.
  void Advance(absl::Duration duration) {
    const absl::Duration end = now_ + duration;
    while (!tasks_.empty() && tasks_.begin()->first <= end) {
      auto task = tasks_.extract(tasks_.begin());
      now_ = std::max(now_, task.key());
      task.mapped()();
    }
    now_ = end;
  }
  size_t timers() const { return tasks_.size(); }

  std::vector<DeadLetter> letters;

 private:
  absl::Duration now_ = absl::Seconds(1000);
  std::multimap<absl::Duration, std::function<void()>> tasks_;
};

// A core with groups.
struct FakeCore {
  // Publishes in one chunk.
  void Publish(const std::vector<std::string>& payloads,
               const std::string& topic = "t") {
    std::vector<std::string> frames;
    for (const std::string& payload : payloads) {
      frames.push_back(MessageFrame(topic, payload));
    }
    PublishFrames(frames);
  }
  void PublishFrames(const std::vector<std::string>& frames) {
    std::string bytes;
    for (const std::string& frame : frames) bytes += frame;
    const ChunkRef chunk = Chunk::CopyOf(bytes);
    router.Begin(chunk, feeder, PublisherId());
    size_t offset = 0;
    for (const std::string& frame : frames) {
      const std::string_view in_chunk(chunk->bytes() + offset, frame.size());
      ASSERT_EQ(router.Add(in_chunk, ReadMessageFrame(in_chunk)),
                Router::Outcome::kRouted);
      offset += frame.size();
    }
    router.Flush();
  }

  // Publishes the dead letters that are due.
  void PublishDead() {
    for (const DeadLetter& letter : std::exchange(host.letters, {})) {
      ASSERT_EQ(PublishDeadLetter(letter, options.frame_bytes_max, router),
                DeadLetterOutcome::kPublished);
      if (letter.on_dealt_with) letter.on_dealt_with();
    }
  }

  // Takes over the time and the groups that are over no log of a core before an
  // upgrade. Their members and groups.Resume() are to follow.
  void TakeOver(const FakeCore& old) {
    host.Advance(old.host.Now() - host.Now());
    groups.Restore(old.groups.Export());
    StateChunks chunks;
    std::vector<pb::state::GroupEntry> entries;
    old.groups.ExportGroups(
        chunks, old.ingresses, [&](const pb::state::GroupEntry& entry) {
          ASSERT_TRUE(entries.emplace_back().ParseFromString(
              entry.SerializeAsString()));
        });
    HandOver(chunks);
    for (const pb::state::GroupEntry& entry : entries) {
      groups.RestoreGroup(entry, nullptr, chunks_, ingresses);
    }
  }
  // A subscriber of the old core, with another sink.
  void TakeOver(const FakeCore& old, const Egress& from,
                const std::shared_ptr<Egress>& to) {
    StateChunks chunks;
    const pb::state::Egress state =
        EgressTransfer::Export(from, chunks, old.ingresses);
    HandOver(chunks);
    EgressTransfer::Restore(state, chunks_, ingresses, to);
  }

  pb::StatsReply Stats() const {
    pb::StatsReply reply;
    groups.AppendStats(reply);
    return reply;
  }

  // What `chunks` hold is what state refers to from now on.
  void HandOver(const StateChunks& chunks) {
    chunks_ = StateChunks();
    for (const StateChunks::Exported& one : chunks.exported()) {
      chunks_.Add(one.number, one.begin, Chunk::CopyOf(one.bytes));
    }
  }

  BrokerOptions options;
  Counters counters;
  StateIngresses ingresses;
  SubscriptionTable table;
  IdPool ids;
  TopicStats topic_stats{options.topic_stats_max};
  Router router{options, table, counters, topic_stats};
  FakeGroupHost host;
  GroupTable groups{options, table, ids, counters, host};
  const std::shared_ptr<FakeValve> valve = std::make_shared<FakeValve>();
  const std::shared_ptr<Valve> feeder = valve;

 private:
  StateChunks chunks_;
};

// A session, as far as groups see it.
class FakeMember {
 public:
  explicit FakeMember(FakeCore& core) : core_(core), id_(core.ids.Acquire()) {
    egress_->SetRoomListener(rooms_);
  }
  FakeMember(FakeCore& core, const std::string& group,
             const std::optional<AckRule>& rule = {})
      : FakeMember(core) {
    EXPECT_TRUE(Join(group, rule));
  }
  // The same session in the broker after an upgrade. Its groups are restored.
  // What it gets from now on is its own, not the old one's.
  FakeMember(FakeCore& core, const FakeMember& old)
      : core_(core), id_(old.egress_->id()) {
    sink_->room = old.sink_->room;
    sink_->unread_bytes = old.sink_->unread_bytes;
    core.TakeOver(old.core_, *old.egress_, egress_);
    egress_->SetRoomListener(rooms_);
    memberships_->Restore(old.memberships_->Export(),
                          [](const Group::Key&) { return nullptr; });
  }
  ~FakeMember() { Die(); }

  bool Join(const std::string& group, const std::optional<AckRule>& rule = {},
            const std::string& pattern = "t") {
    group_ = memberships_->Join({pattern, group}, rule);
    if (group_) group_->OnJoined();
    return group_ != nullptr;
  }
  // Joins a group over a log.
  bool JoinLogged(const std::string& group, const AckRule& rule,
                  const GroupTable::MakeSource& make_source) {
    group_ = memberships_->JoinLogged({"t", group, "log", "reader"}, rule,
                                      make_source, /*use=*/nullptr);
    if (group_) group_->OnJoined();
    return group_ != nullptr;
  }
  // What it has not answered of the group that it joined last.
  size_t unacked() const { return group_->UnackedOf(egress_->id()); }
  void Leave(const std::string& group) { memberships_->Leave("t", group); }
  void Die() {
    if (dead_) return;
    dead_ = true;
    memberships_->End(/*taken_along=*/0);
    egress_->Close();
    core_.ids.GiveBack(egress_->id());
  }
  // Its pipe takes so many bytes more.
  void MakeRoom(size_t bytes) {
    sink_->room =
        bytes > SIZE_MAX - sink_->room ? SIZE_MAX : sink_->room + bytes;
    egress_->OnWritable();
  }
  void SetRoom(size_t bytes) { sink_->room = bytes; }

  struct Delivered {
    uint64_t ack_id = 0;
    uint32_t count = 0;
    uint64_t offset = 0;
    uint64_t stored_time_unix_nanos = 0;
    std::string payload;  // "(gap N)" for a gap
  };
  // What was written since the last call, as far as it is whole.
  std::vector<Delivered> Take() {
    const SplitFrames split = Split(sink_->written);
    std::vector<Delivered> taken;
    std::string begun;  // a Delivery whose message is not whole yet
    Delivered next;
    for (const std::string& frame : split.frames) {
      const pb::Frame parsed = Parse(frame);
      if (parsed.has_delivery()) {
        EXPECT_TRUE(begun.empty()) << "a Delivery without its Message";
        begun = frame;
        next.ack_id = parsed.delivery().ack_id();
        next.count = parsed.delivery().delivery_count();
        next.offset = parsed.delivery().offset();
        next.stored_time_unix_nanos =
            parsed.delivery().stored_time_unix_nanos();
        continue;
      }
      EXPECT_TRUE(begun.empty() || parsed.has_message());
      next.payload = parsed.has_gap()
                         ? fmt::format("(gap {})", parsed.gap().messages())
                         : parsed.message().payload();
      taken.push_back(std::exchange(next, {}));
      begun.clear();
    }
    sink_->written = begun + split.rest;
    return taken;
  }
  std::vector<std::string> TakePayloads() {
    std::vector<std::string> payloads;
    for (Delivered& one : Take()) payloads.push_back(std::move(one.payload));
    return payloads;
  }

  void Answer(const std::vector<uint64_t>& ids,
              pb::Ack::Verdict verdict = pb::Ack::VERDICT_DONE) {
    pb::Ack ack;
    ack.set_verdict(verdict);
    for (const uint64_t id : ids) ack.add_ack_ids(id);
    memberships_->Acknowledge(ack);
  }

  Memberships& memberships() { return *memberships_; }
  FakeSink& sink() { return *sink_; }
  Egress& egress() { return *egress_; }
  const std::shared_ptr<Egress>& shared_egress() const { return egress_; }

 private:
  FakeCore& core_;
  const uint32_t id_;
  bool dead_ = false;
  std::shared_ptr<Group> group_;
  const std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  const std::shared_ptr<Egress> egress_ = std::make_shared<Egress>(
      id_, EgressFormat::kFrames, core_.options, sink_, core_.counters);
  const std::shared_ptr<RoomListeners> rooms_ =
      std::make_shared<RoomListeners>();
  const std::unique_ptr<Memberships> memberships_ =
      std::make_unique<Memberships>(core_.groups, egress_, rooms_);
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_GROUP_FAKES_H_
