// What an upgrade takes over: each field of each message goes through the class
// that it is for, and comes out the same. A field that is added to a message and
// not restored fails here, and so does a message that nobody tests.

#include <fcntl.h>
#include <sys/stat.h>

#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/bus/bus_parts.h"
#include "broker/bus/durable_tap.h"
#include "broker/core/groups/ack_ledger.h"
#include "broker/core/groups/dealt_runs.h"
#include "broker/core/groups/group_members.h"
#include "broker/core/groups/group_transfer.h"
#include "broker/core/groups/log_group_source.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/readers/line_target.h"
#include "broker/core/readers/tail_search.h"
#include "broker/core/sessions/log_subscriptions.h"
#include "broker/core/sessions/pending_answers.h"
#include "broker/io/fifo.h"
#include "broker/io/worker.h"
#include "broker/state/broker_state.pb.h"
#include "broker/state/group_state.pb.h"
#include "broker/state/reader_state.pb.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/filled_state.h"
#include "tests/support/group_fakes.h"
#include "tests/support/log_cursor_fixture.h"

namespace fifobus {
namespace {

namespace state = pb::state;

// Messages of which a test of the class that has the descriptors says the same.
const std::set<std::string> kTestedElsewhere = {
    "Record",          "Header",
    "Broker",          "Broker.RefusedNamesEntry",
    "TapIn",           "TapOut",
    "TapDurable",      "StrayFile",
    "Chunk",           "Counters",
    "IdPool",          "Counters.CountsEntry",
    "RetainedTopic",   "TopicStats",
    "TopicSum",        "RetainedTopic.Value",
    "IngressPipe",     "RestBuffer",
    "EgressPipe",      "SessionLink",
    "Session",         "SessionRequests",
    "TopicStats.Topic"};

class StateRoundTrip : public LogCursorFixture {
 protected:
  StateRoundTrip() { Open(); }

  // An empty log, which no thread has used.
  void OpenAnew() {
    log_.reset();
    std::filesystem::remove_all(folder_);
    Open();
  }
  LogTable Logs() const { return LogTable({{"orders/**", log_}}); }

  // What not any value would do for.
  void Constrain(StateFiller& filler) {
    for (const char* const field :
         {"GroupKey.log", "ServedLog.name", "LogSubscription.log",
          "PendingAnswers.Waiting.log", "PendingAnswers.Progress.log"}) {
      filler.SetText(field, [] { return "orders"; });
    }
    for (const char* const field :
         {"GroupKey.durable", "LogSubscription.durable"}) {
      filler.SetText(field, [] { return "reader"; });
    }
    filler.SetText("KeptMessage.frame", [&] {
      return MessageFrame("t", fmt::format("payload{}", filler.NextNumber()));
    });
    // The log is empty.
    filler.SetNumber("DurableReader.position", [] { return 1; });
    // What the cursor stands before was given to the group.
    filler.SetNumber("LogCursor.position",
                     [&] { return position_ = filler.NextNumber(); });
    filler.SetNumber("LogGroupSource.next", [&] { return position_; });
  }

  // Each range is a part of a chunk of its own. An entry of a queue is a gap, or
  // messages.
  void ConstrainQueues(StateFiller& filler) {
    filler.SetNumber("ChunkRange.chunk", [&] {
      frames_.push_back(MessageFrame("t", std::to_string(filler.NextNumber())));
      return frames_.size();
    });
    filler.SetNumber("ChunkRange.begin", [] { return 3; });
    filler.SetNumber("ChunkRange.size", [&] { return frames_.back().size(); });
    filler.SetNumber("QueueEntry.written", [] { return 1; });
    filler.SetNumber("BackPressure.paused", [&] {
      const uint64_t number = filler.NextNumber();
      ingresses_.Add(number, std::make_shared<FakeValve>());
      return number;
    });
    filler.SetNumber("Egress.closed", [&] { return filler.round() % 2; });
    filler.SetAfter("QueueEntry", [this](google::protobuf::Message& message) {
      auto& entry = static_cast<state::QueueEntry&>(message);
      if (++entries_ % 2 == 0) {
        entry.clear_gap();
      } else {
        state::QueueEntry gap;
        *gap.mutable_gap() = entry.gap();
        entry = gap;
        frames_.pop_back();
      }
    });
    for (const char* const field :
         {"LossCount.reason", "GapLedger.Losses.reason"}) {
      filler.SetNumber(field, [this] {
        return ++reasons_ % 2 == 1 ? pb::Gap::REASON_OVERFLOW
                                   : pb::Gap::REASON_CONFLATED;
      });
    }
    // Of some the topic is not known.
    filler.SetAfter("GapLedger.Losses", [](google::protobuf::Message& message) {
      auto& losses = static_cast<state::GapLedger::Losses&>(message);
      for (const pb::Gap::Loss& loss : losses.by_topic()) {
        losses.set_messages(losses.messages() + loss.messages());
      }
    });
    filler.SetAfter("Egress", [](google::protobuf::Message& message) {
      auto& egress = static_cast<state::Egress&>(message);
      if (egress.closed()) egress.mutable_pressure()->clear_paused();
    });
  }

  // Compares what was filled with what `round_trip` makes of it.
  template <typename State>
  void Expect(const std::function<State(const State&)>& round_trip) {
    AddTypes(*State::descriptor(), tested_);
    for (int round = 0; round < StateFiller::kRounds; ++round) {
      StateFiller filler(round);
      Constrain(filler);
      ConstrainQueues(filler);
      chunks_ = StateChunks();
      ingresses_ = StateIngresses();
      frames_.clear();
      State filled;
      filler.Fill(filled);
      for (size_t i = 0; i < frames_.size(); ++i) {
        chunks_.Add(i + 1, 0, Chunk::CopyOf("..." + frames_[i]));
      }
      ExpectSameState(filled, round_trip(filled));
    }
  }

  void ExpectParts();
  void ExpectGroups();
  void ExpectLogs();
  void ExpectSessions();
  void ExpectDurableTap();

  std::set<std::string> tested_;
  uint64_t position_ = 0;
  StateChunks chunks_;
  StateIngresses ingresses_;
  std::vector<std::string> frames_;  // one for each chunk
  int reasons_ = 0;
  int entries_ = 0;
};

void StateRoundTrip::ExpectParts() {
  Expect<state::AckRule>(
      [](const auto& filled) { return AckRule::Restore(filled).Export(); });
  Expect<state::DeliveryCounts>(
      [](const auto& filled) { return ExportCounts(RestoreCounts(filled)); });
  Expect<state::KeptMessage>(
      [](const auto& filled) { return KeptMessage::Restore(filled).Export(); });
  Expect<state::AckLedger>([](const auto& filled) {
    AckLedger ledger(AckRule{}, /*unacked_bytes_max=*/1);
    ledger.Restore(filled);
    return ledger.Export();
  });
  Expect<state::DealtRuns>(
      [](const auto& filled) { return DealtRuns::Restore(filled).Export(); });
  Expect<state::GroupMembers>([](const auto& filled) {
    return GroupMembers::Restore(filled).Export();
  });
}

void StateRoundTrip::ExpectGroups() {
  (void)log_->readers().Open("reader", "orders/**", "g", 1);
  Expect<state::GroupKey>([](const auto& filled) {
    return GroupTransfer::ExportKey(GroupTransfer::RestoreKey(filled));
  });
  Expect<state::LogGroupSource>([&](const state::LogGroupSource& filled) {
    FakeCore core;
    const FakeMember member(core);
    state::GroupKey key;
    key.set_log("orders");
    key.set_durable("reader");
    const auto source =
        LogGroupSource::Restore(options_, core.host, Logs(), key, filled);
    ExpectSameState(filled, source->Export());
    source->Begin(member.shared_egress());
    core.host.Advance(absl::ZeroDuration());
    const state::LogGroupSource begun = source->Export();
    source->End();
    core.host.Advance(absl::ZeroDuration());
    return begun;
  });
  Expect<state::GroupEntry>([&](const state::GroupEntry& filled) {
    FakeCore core;
    core.groups.RestoreGroup(
        filled,
        LogGroupSource::Restore(options_, core.host, Logs(),
                                filled.group().key(), filled.group().source()),
        chunks_, ingresses_);
    ingresses_.Settle();
    StateChunks chunks;
    state::GroupEntry exported;
    core.groups.ExportGroups(chunks, ingresses_,
                             [&](const auto& entry) { exported = entry; });
    return exported;
  });
  Expect<state::GroupTable>([](const auto& filled) {
    FakeCore core;
    core.groups.Restore(filled);
    return core.groups.Export();
  });
  Expect<state::Memberships>([](const auto& filled) {
    FakeCore core;
    FakeMember member(core);
    member.memberships().Restore(
        filled, [](const Group::Key&) { return std::make_shared<int>(); });
    return member.memberships().Export();
  });
}

void StateRoundTrip::ExpectLogs() {
  Expect<state::ServedLog>([&](const state::ServedLog& filled) {
    OpenAnew();
    log_->Restore(filled);
    return log_->Export();
  });
  Expect<state::LogCursor>([&](const state::LogCursor& filled) {
    Read(LogRange{});
    cursor_->Restore(filled);
    return cursor_->Export();
  });
  Expect<state::TailSearch>([&](const state::TailSearch& filled) {
    return TailSearch(log_, 0, options_, "orders/a", filled).Export();
  });
  Expect<state::LineTarget>([](const auto& filled) {
    FakeSink sink;
    Counters counters;
    LineTarget target(sink, counters);
    target.Restore(filled);
    return target.Export();
  });
}

void StateRoundTrip::ExpectSessions() {
  (void)log_->readers().Open("reader", "orders/**", "g", 1);
  FakeCore core;
  FakeMember member(core);
  Answers answers(member.shared_egress());
  RoomListeners rooms;
  const std::function<void(std::string)> fence = [](const std::string&) {};
  Expect<state::LogSubscriptions>([&](const state::LogSubscriptions& filled) {
    LogSubscriptions subscriptions(
        {options_, /*worker=*/0, /*session=*/1, member.shared_egress(), answers,
         rooms, member.memberships(), fence},
        [](FeedOutcome) {});
    EXPECT_EQ(subscriptions.Restore(filled, Logs()), FeedOutcome::kContinue);
    state::LogSubscriptions exported = subscriptions.Export();
    subscriptions.End();
    return exported;
  });
  Expect<state::PendingAnswers>([&](const state::PendingAnswers& filled) {
    PendingAnswers pending(options_.log_answers_max, /*worker=*/0, answers,
                           [](FeedOutcome) {});
    pending.Restore(filled, Logs());
    return pending.Export();
  });
}

void StateRoundTrip::ExpectDurableTap() {
  OpenAnew();
  BusParts parts(options_);
  parts.table.SetLogs(Logs());
  auto worker = Worker::Start(0, options_, AdaptiveSpin(), nullptr);
  ASSERT_TRUE(worker.ok());
  const std::string path = (folder_ / "r.durable").string();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto round_trip = [&](const state::DurableTap& filled) {
    auto tap = DurableTap::Restore(
        filled, "orders/a", path, parts, **worker,
        UniqueFd(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)), [] {});
    EXPECT_TRUE(tap.ok()) << tap.status();
    return tap.ok() ? (*tap)->Export() : state::DurableTap();
  };
  Expect<state::DurableTap>([&](const state::DurableTap& filled) {
    std::promise<state::DurableTap> exported;
    (*worker)->loop().Post([&] { exported.set_value(round_trip(filled)); });
    return exported.get_future().get();
  });
}

TEST_F(StateRoundTrip, KeepsEachFieldOfEachMessage) {
  ExpectParts();
  ExpectGroups();
  ExpectLogs();
  ExpectSessions();
  ExpectDurableTap();
  std::set<std::string> all;
  AddTypes(*state::Record::descriptor(), all);
  for (const std::string& name : all) {
    const std::string_view prefix = "fifobus.pb.state.";
    if (!name.starts_with(prefix)) continue;  // a frame of clients
    const std::string own = name.substr(prefix.size());
    EXPECT_TRUE(tested_.contains(name) || kTestedElsewhere.contains(own))
        << own << ": an upgrade takes it over, and no test restores it";
  }
}

}  // namespace
}  // namespace fifobus
