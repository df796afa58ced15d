// Readers of logs over an upgrade: no message twice, and none is missing.

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/core/delivery/room_listeners.h"
#include "broker/core/groups/memberships.h"
#include "broker/core/sessions/answers.h"
#include "broker/core/sessions/log_subscriptions.h"
#include "broker/core/sessions/pending_answers.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"
#include "tests/support/log_cursor_fixture.h"

namespace fifobus {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// As much of a session as reads logs.
struct Reading {
  Reading(const BrokerOptions& broker_options, uint64_t number)
      : options(broker_options),
        egress(std::make_shared<Egress>(1, EgressFormat::kFrames, options, sink,
                                        core.counters)),
        answers(egress),
        memberships(core.groups, egress, rooms),
        fence([this](std::string text) { fenced = std::move(text); }),
        subscriptions(
            {options, 0, number, egress, answers, *rooms, memberships, fence},
            [](FeedOutcome) {}) {
    egress->SetRoomListener(rooms);
  }
  ~Reading() {
    subscriptions.End();
    memberships.End(0);
    egress->Close();
  }

  // "subscribed", "caught up", "gap N", or a message's offset and payload.
  std::vector<std::string> Take() {
    std::vector<std::string> taken;
    std::string offset;
    for (const std::string& bytes : Split(sink->written).frames) {
      const pb::Frame frame = Parse(bytes);
      if (frame.has_delivery()) {
        offset = fmt::format("{}", frame.delivery().offset());
      } else if (frame.has_message()) {
        taken.push_back(offset + " " + frame.message().payload());
      } else if (frame.has_subscribed()) {
        taken.push_back(
            fmt::format("subscribed {}", frame.subscribed().next_offset()));
      } else if (frame.has_gap()) {
        taken.push_back(fmt::format("gap {}", frame.gap().messages()));
      } else if (frame.has_error()) {
        taken.push_back("error: " + frame.error().text());
      } else {
        taken.push_back(frame.has_caught_up() ? "caught up" : "?");
      }
    }
    sink->written.clear();
    return taken;
  }
  void Ack(uint64_t up_to) {
    pb::Ack ack;
    ack.set_subscription(1);
    ack.set_up_to_offset(up_to);
    subscriptions.OnAck(ack);
  }

  const BrokerOptions& options;
  FakeCore core;
  std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
  std::shared_ptr<Egress> egress;
  Answers answers;
  std::shared_ptr<RoomListeners> rooms = std::make_shared<RoomListeners>();
  Memberships memberships;
  std::string fenced;
  const std::function<void(std::string)> fence;
  LogSubscriptions subscriptions;
};

class UpgradedReader : public LogCursorFixture {
 protected:
  ~UpgradedReader() override {
    reading_.reset();
    tasks_.RunAll();
  }

  LogTable Logs() const { return LogTable({{"orders/**", log_}}); }

  static pb::Subscribe First(const std::string& pattern) {
    pb::Subscribe subscribe;
    subscribe.set_request_id(1);
    subscribe.set_pattern(pattern);
    subscribe.mutable_start()->set_first(true);
    return subscribe;
  }

  // A session whose pipe takes so many bytes.
  void Subscribe(const pb::Subscribe& subscribe, size_t room = SIZE_MAX) {
    reading_ = std::make_unique<Reading>(options_, /*number=*/7);
    reading_->sink->room = room;
    EXPECT_EQ(reading_->subscriptions.OnSubscribe(subscribe, Logs()),
              FeedOutcome::kContinue);
  }

  // The log is opened anew as well.
  void Upgrade() {
    const pb::state::LogSubscriptions state = reading_->subscriptions.Export();
    const pb::state::ServedLog log = log_->Export();
    reading_.reset();
    tasks_.RunAll();
    log_.reset();
    tasks_.RunAll();
    Open();
    log_->Restore(log);
    reading_ = std::make_unique<Reading>(options_, /*number=*/7);
    EXPECT_EQ(reading_->subscriptions.Restore(state, Logs()),
              FeedOutcome::kContinue);
    EXPECT_THAT(reading_->Take(), IsEmpty()) << "a restoring is silent";
  }

  void StoreMany(int count) {
    for (int i = 1; i <= count; ++i) {
      StoreOne(i % 2 == 1 ? "orders/a" : "orders/b", fmt::format("{:03}", i));
    }
  }

  std::unique_ptr<Reading> reading_;
};

TEST_F(UpgradedReader, GoesOnWhereverItStopped) {
  options_.log_segment_bytes = 4200;
  Open();
  StoreMany(60);
  for (const char* const pattern : {"orders/**", "orders/b"}) {
    Subscribe(First(pattern));
    const std::string all = reading_->sink->written;
    const std::vector<std::string> expected = reading_->Take();
    ASSERT_EQ(expected.size(), pattern == std::string("orders/b") ? 32u : 62u);
    // At each place where a message ends. What waits in a queue is not here.
    const size_t last_bytes = Split(all).frames.back().size();
    size_t room = 0;
    bool behind_delivery = false;
    for (const std::string& frame : Split(all).frames) {
      room += frame.size();
      behind_delivery = Parse(frame).has_delivery();
      if (behind_delivery || room + last_bytes >= all.size()) continue;
      Subscribe(First(pattern), room);
      std::vector<std::string> got = reading_->Take();
      Upgrade();
      tasks_.RunAll();
      for (std::string& one : reading_->Take()) got.push_back(std::move(one));
      ASSERT_EQ(got, expected) << "stopped at " << room;
    }
  }
}

TEST_F(UpgradedReader, GetsWhatComesLater) {
  Open();
  StoreMany(4);
  Subscribe(First("orders/b"));
  EXPECT_THAT(reading_->Take(),
              ElementsAre("subscribed 1", "2 002", "4 004", "caught up"));
  Upgrade();
  tasks_.RunAll();
  EXPECT_THAT(reading_->Take(), IsEmpty());
  StoreOne("orders/a", "5");
  StoreOne("orders/b", "6");
  tasks_.RunUntil([&] { return !reading_->sink->written.empty(); });
  EXPECT_THAT(reading_->Take(), ElementsAre("6 6"));
}

TEST_F(UpgradedReader, FinishesASearch) {
  options_.log_turn_bytes = 1;
  options_.log_segment_bytes = 4200;
  Open();
  StoreMany(200);
  pb::Subscribe subscribe = First("orders/b");
  subscribe.mutable_start()->set_last(3);
  Subscribe(subscribe);
  ASSERT_THAT(reading_->Take(), IsEmpty()) << "it looks on";
  Upgrade();
  StoreOne("orders/b", "201");  // is not one of the last three
  std::vector<std::string> got;
  tasks_.RunUntil([&] {
    for (std::string& one : reading_->Take()) got.push_back(std::move(one));
    return got.size() >= 6;
  });
  EXPECT_EQ(got[0], "subscribed 196");
  EXPECT_EQ(got[1], "196 196");
  EXPECT_EQ(got[3], "200 200");
}

TEST_F(UpgradedReader, ADurableOneKeepsItsPlaceAndItsClaim) {
  Open();
  StoreMany(6);
  pb::Subscribe subscribe = First("orders/**");
  subscribe.set_durable("r");
  Subscribe(subscribe);
  tasks_.RunUntil(
      [&] { return Split(reading_->sink->written).frames.size() > 13; });
  reading_->Take();
  reading_->Ack(4);
  Upgrade();
  tasks_.RunAll();
  const auto reader = log_->readers().Find("r");
  ASSERT_NE(reader, nullptr);
  EXPECT_EQ(reader->position(), 5u);
  EXPECT_THAT(reader->sessions(), ElementsAre(7u));
  EXPECT_THAT(reading_->Take(), IsEmpty()) << "5 and 6 are with the client";
  reading_->Ack(6);
  EXPECT_EQ(reader->position(), 7u);
  EXPECT_EQ(reading_->fenced, "");
  (void)reader->Take({8});
  EXPECT_THAT(reading_->fenced, testing::HasSubstr("durable reader r"));
  StoreOne("orders/a", "7");
  reading_->Ack(7);
  EXPECT_EQ(reader->position(), 7u);
}

TEST_F(UpgradedReader, AFencedOneDoesNotTakeItsReaderBack) {
  Open();
  StoreMany(2);
  pb::Subscribe subscribe = First("orders/**");
  subscribe.set_durable("r");
  Subscribe(subscribe);
  tasks_.RunUntil(
      [&] { return Split(reading_->sink->written).frames.size() > 5; });
  (void)log_->readers().Find("r")->Take({8});
  Upgrade();
  tasks_.RunAll();
  const auto reader = log_->readers().Find("r");
  EXPECT_THAT(reader->sessions(), IsEmpty());
  reading_->Take();
  reading_->Ack(2);
  EXPECT_EQ(reader->position(), 1u);
}

TEST_F(UpgradedReader, ANewDurableOneIsAnsweredWhenItIsOnDisk) {
  Open();
  StoreMany(1);
  (void)log_->readers().Open("r", "orders/**", "", 1);
  Subscribe(First("orders/**"));
  pb::state::LogSubscriptions state;
  pb::state::LogSubscription& storing = *state.add_subscriptions();
  storing.set_log("orders");
  storing.set_request_id(1);
  storing.set_pattern("orders/**");
  storing.set_whole(true);
  storing.set_durable("r");
  storing.set_phase(pb::state::LogSubscription::PHASE_STORING);
  storing.set_uses_reader(true);
  reading_ = std::make_unique<Reading>(options_, /*number=*/7);
  EXPECT_EQ(reading_->subscriptions.Restore(state, Logs()),
            FeedOutcome::kContinue);
  EXPECT_THAT(reading_->Take(), IsEmpty());
  tasks_.RunUntil(
      [&] { return Split(reading_->sink->written).frames.size() > 3; });
  EXPECT_TRUE(log_->readers().Find("r")->stored());
  EXPECT_THAT(reading_->Take(),
              ElementsAre("subscribed 1", "1 001", "caught up"));
}

// Even if its place is not on disk yet.
TEST_F(UpgradedReader, AnOfflineDurableOneKeepsItsExactPlace) {
  Open();
  StoreMany(9);
  const auto reader = log_->readers().Open("r", "orders/**", "", 1).reader;
  const absl::Time deadline = absl::Now() + kDeadline;
  while (!reader->stored() && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  ASSERT_TRUE(reader->stored());
  const auto older = folder_.string() + "_older";
  std::filesystem::remove_all(older);
  std::filesystem::copy(folder_, older);
  reader->SettleUpTo(3);
  reader->SettleRange(6, 7);
  const pb::state::ServedLog state = log_->Export();
  log_.reset();
  tasks_.RunAll();
  std::filesystem::remove_all(folder_);
  std::filesystem::rename(older, folder_);
  Open();
  EXPECT_EQ(log_->readers().Find("r")->position(), 1u);
  log_->Restore(state);
  const auto restored = log_->readers().Find("r");
  EXPECT_EQ(restored->position(), 4u);
  EXPECT_TRUE(restored->done_above().Contains(6));
  EXPECT_FALSE(restored->done_above().Contains(8));
  EXPECT_FALSE(restored->in_use());
}

TEST_F(UpgradedReader, IsToldIfItsLogIsNotServedAnyMore) {
  Open();
  StoreMany(1);
  Subscribe(First("orders/**"));
  const pb::state::LogSubscriptions state = reading_->subscriptions.Export();
  Reading next(options_, 7);
  EXPECT_EQ(next.subscriptions.Restore(state, LogTable()),
            FeedOutcome::kContinue);
  EXPECT_THAT(next.Take(),
              ElementsAre("error: the broker was upgraded and serves no log "
                          "orders any more"));
  EXPECT_EQ(next.subscriptions.size(), 0u);
}

TEST_F(UpgradedReader, AConfirmThatWaitsIsSentWhenItIsDue) {
  Open();
  Reading old(options_, 7);
  PendingAnswers waiting(options_.log_answers_max, 0, old.answers,
                         [](FeedOutcome) {});
  PendingConfirm confirm;
  confirm.confirm_id = 5;
  confirm.level = pb::Confirm::LEVEL_STORED;
  confirm.log = log_.get();
  confirm.offset = 1;
  confirm.stored_offset = 1;
  waiting.AddConfirm(confirm);
  waiting.NoteAppended(*log_, 1);
  waiting.AddPong(6, pb::Confirm::LEVEL_STORED);
  EXPECT_EQ(waiting.Send(), FeedOutcome::kContinue);
  const pb::state::PendingAnswers state = waiting.Export();
  waiting.Forget();
  EXPECT_THAT(old.Take(), IsEmpty());

  Reading next(options_, 7);
  PendingAnswers restored(options_.log_answers_max, 0, next.answers,
                          [](FeedOutcome) {});
  restored.Restore(state, Logs());
  EXPECT_EQ(restored.Send(), FeedOutcome::kContinue);
  EXPECT_TRUE(next.sink->written.empty());
  StoreOne("orders/a", "1");
  tasks_.RunUntil([&] { return Split(next.sink->written).frames.size() == 2; });
  const auto frames = Split(next.sink->written).frames;
  EXPECT_EQ(Parse(frames[0]).confirm().confirm_id(), 5u);
  EXPECT_EQ(Parse(frames[0]).confirm().level(), pb::Confirm::LEVEL_STORED);
  EXPECT_EQ(Parse(frames[1]).pong().token(), 6u);
  EXPECT_EQ(Parse(frames[1]).pong().level(), pb::Confirm::LEVEL_STORED);
}

}  // namespace
}  // namespace fifobus
