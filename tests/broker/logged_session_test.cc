// What a session publishes on topics that a log stores, and what it is told.

#include <string>
#include <vector>

#include "proto/expiry.h"
#include "tests/support/logged_session_fixture.h"

namespace fifobus {
namespace {

constexpr auto kAccepted = pb::Confirm::LEVEL_ACCEPTED;
constexpr auto kWritten = pb::Confirm::LEVEL_WRITTEN;
constexpr auto kStored = pb::Confirm::LEVEL_STORED;

class PublishToLogTest : public LoggedSessionTest {
 protected:
  void ExpectConfirm(uint64_t id, pb::Confirm::Level level, uint64_t offset,
                     pb::Confirm::Failure failure = pb::Confirm::FAILURE_NONE) {
    const pb::Frame frame = Await();
    const pb::Confirm& confirm = frame.confirm();
    EXPECT_EQ(confirm.confirm_id(), id) << frame.ShortDebugString();
    EXPECT_EQ(confirm.level(), level) << frame.ShortDebugString();
    EXPECT_EQ(confirm.offset(), offset) << frame.ShortDebugString();
    EXPECT_EQ(confirm.failure(), failure) << frame.ShortDebugString();
    EXPECT_FALSE(confirm.duplicate());
  }
};

TEST_F(PublishToLogTest, AMessageIsLiveAtOnceAndConfirmedWhenItIsStored) {
  ServedLog& log = AddLog("orders", "orders/**", absl::Hours(1));
  const auto live = Other(1, "orders/*", EgressFormat::kFrames);
  Open();
  const std::string frame = Publish(Stored("orders/a", 5));
  Feed(frame);
  EXPECT_EQ(live->written, frame);
  Feed(Publish(Stored("orders/a", 6, 0, kWritten)));
  tasks_.RunUntil([&] { return log.written_offset() == 2; });
  tasks_.RunAll();
  EXPECT_EQ(sink_->written, "") << "the one before is not stored";
  log.Close();
  ExpectConfirm(5, kStored, 1);
  ExpectConfirm(6, kWritten, 2);
  EXPECT_EQ(counters_.messages_stored.value(), 2u);
  EXPECT_EQ(log.appended(), 2u);
}

TEST_F(PublishToLogTest, WrittenComesBeforeStored) {
  AddLog("orders", "orders/**", absl::Hours(1));
  Open();
  Feed(Publish(Stored("orders/a", 5, 0, kWritten)));
  ExpectConfirm(5, kWritten, 1);
}

TEST_F(PublishToLogTest, AnAcceptedOneWaitsOnlyForThoseBeforeIt) {
  ServedLog& log = AddLog("orders", "orders/**", absl::Hours(1));
  Open();
  Feed(Publish(Stored("orders/a", 1, 0, kAccepted)) + Confirmed("other", 2));
  ExpectConfirm(1, kAccepted, 1);
  ExpectConfirm(2, kAccepted, 0);
  Feed(Publish(Stored("orders/a", 3)) + Confirmed("other", 4));
  EXPECT_EQ(sink_->written, "");
  log.Close();
  ExpectConfirm(3, kStored, 2);
  ExpectConfirm(4, kAccepted, 0);
}

TEST_F(PublishToLogTest, AllThatACommitMakesDueIsOneWrite) {
  ServedLog& log = AddLog("orders", "orders/**", absl::Hours(1));
  Open();
  std::string frames;
  for (uint64_t id = 1; id <= 100; ++id) {
    frames += Publish(Stored("orders/a", id));
  }
  Feed(frames);
  const int writes = sink_->writes;
  log.Close();
  ExpectConfirm(1, kStored, 1);
  EXPECT_EQ(sink_->writes, writes + 1);
  for (uint64_t id = 2; id <= 100; ++id) ExpectConfirm(id, kStored, id);
}

TEST_F(PublishToLogTest, TheFramesAreStoredAsTheyCame) {
  ServedLog& orders = AddLog("orders", "orders/**");
  ServedLog& rest = AddLog("rest", "**");
  Open();
  const std::string a1 = MessageFrame("orders/a", "1");
  const std::string a2 = MessageFrame("orders/a", "2");
  const std::string b = MessageFrame("b", "3");
  const std::string kept = Retain("orders/a", "4", 9);
  const std::string reply = MessageFrame("_inbox/x", "5");
  Feed(a1 + b + a2 + reply + kept + b + b);
  EXPECT_TRUE(Answer().confirm().retained());
  EXPECT_EQ(FramesIn(orders), (std::vector<std::string>{a1, a2, kept}));
  EXPECT_EQ(FramesIn(rest), (std::vector<std::string>{b, b, b}));
}

TEST_F(PublishToLogTest, AnExpiredMessageIsNotStored) {
  ServedLog& log = AddLog("orders", "**");
  Open();
  MessageFields late = Stored("a", 1);
  late.expiry_unix_nanos = 1;
  MessageFields soon = Stored("a", 2);
  soon.expiry_unix_nanos = UINT64_MAX;
  Feed(Publish(late) + Publish(soon));
  ExpectConfirm(1, kAccepted, 0);
  ExpectConfirm(2, kStored, 1);
  EXPECT_EQ(FramesIn(log), (std::vector<std::string>{Publish(soon)}));
}

TEST_F(PublishToLogTest, ATopicWithoutALogSaysSo) {
  AddLog("orders", "orders/**");
  Open();
  Feed(Publish(Stored("other", 1)) + Publish(Stored("other", 2, 0, kAccepted)));
  ExpectConfirm(1, kAccepted, 0, pb::Confirm::FAILURE_NO_LOG);
  ExpectConfirm(2, kAccepted, 0);
}

TEST_F(PublishToLogTest, ALogThatFailsFailsWhatWaitsAndWhatComes) {
  ServedLog& log = AddLog("orders", "**", absl::Hours(1));
  const auto live = Other(1, "a", EgressFormat::kFrames);
  Open();
  Feed(Publish(Stored("a", 1)));
  tasks_.RunUntil([&] { return log.written_offset() == 1; });
  machines_[0]->failing_syncs = 1000;
  Feed(PingFor(kStored));
  log.Close();
  ExpectConfirm(1, kWritten, 1, pb::Confirm::FAILURE_LOG_FAILED);
  const pb::Pong pong = Await().pong();
  EXPECT_EQ(pong.level(), kWritten);
  EXPECT_EQ(pong.failure(), pb::Confirm::FAILURE_LOG_FAILED);
  EXPECT_FALSE(log.trouble().empty());
  live->written.clear();
  const std::string frame = Publish(Stored("a", 2));
  Feed(frame);
  EXPECT_EQ(live->written, frame) << "it is delivered all the same";
  ExpectConfirm(2, kAccepted, 0, pb::Confirm::FAILURE_LOG_FAILED);
  EXPECT_EQ(counters_.messages_not_stored.value(), 1u);
}

TEST_F(PublishToLogTest, APongWaitsForAllLogsAndMessagesWithoutAConfirm) {
  ServedLog& orders = AddLog("orders", "orders/**", absl::Hours(1));
  ServedLog& rest = AddLog("rest", "**", absl::Hours(1));
  Open();
  Feed(MessageFrame("orders/a", "1") + MessageFrame("b", "2") +
       PingFor(kStored, 7) + PingFor(kAccepted, 8));
  EXPECT_EQ(Answer().pong().token(), 8u);
  orders.Close();
  tasks_.RunAll();
  EXPECT_EQ(sink_->written, "");
  rest.Close();
  const pb::Pong pong = Await().pong();
  EXPECT_EQ(pong.token(), 7u);
  EXPECT_EQ(pong.level(), kStored);
  EXPECT_EQ(pong.failure(), pb::Confirm::FAILURE_NONE);
}

TEST_F(PublishToLogTest, APongThatNothingHoldsUpComesAtOnce) {
  AddLog("orders", "orders/**");
  Open();
  Feed(MessageFrame("other", "1") + PingFor(kStored, 7));
  const pb::Pong pong = Answer().pong();
  EXPECT_EQ(pong.token(), 7u);
  EXPECT_EQ(pong.level(), kStored);
}

TEST_F(PublishToLogTest, APublisherWithTooManyAnswersIsPaused) {
  options_.log_answers_max = 8192;
  ServedLog& log = AddLog("orders", "**", absl::Hours(1));
  const auto valve = std::make_shared<FakeValve>();
  session_.SetValve(valve);
  Open();
  std::string frames;
  for (uint64_t id = 1; id <= 8193; ++id) frames += Publish(Stored("a", id));
  Feed(frames);
  EXPECT_EQ(valve->pauses, 1);
  log.Close();
  tasks_.RunUntil([&] { return valve->pauses == 0; });
  EXPECT_EQ(Split(sink_->written).frames.size(), 8193u);
}

TEST_F(PublishToLogTest, AFullDiskHoldsThePublisherBackUntilThereIsRoom) {
  options_.log_backlog_bytes_max = 1000;
  options_.log_full_retry = absl::InfiniteDuration();
  ServedLog& log = AddLog("orders", "**");
  machines_[0]->capacity_bytes = machines_[0]->used_bytes() + 100;
  const auto valve = std::make_shared<FakeValve>();
  session_.SetValve(valve);
  Open();
  MessageFields fields = Stored("a", 1);
  const std::string payload(2000, 'x');
  fields.payload = payload;
  Feed(Publish(fields) + Publish(fields));
  Feed(Publish(fields));
  tasks_.RunUntil([&] { return !log.trouble().empty(); });
  EXPECT_EQ(valve->pauses, 1);
  EXPECT_EQ(log.held_back(), 1u);
  EXPECT_EQ(sink_->written, "");
  machines_[0]->capacity_bytes = UINT64_MAX;
  log.log().Wake();
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    ExpectConfirm(1, kStored, offset);
  }
  log.Close();
  EXPECT_EQ(log.trouble(), "");
  EXPECT_EQ(valve->pauses, 0);
  EXPECT_EQ(log.held_back(), 0u);
}

TEST_F(PublishToLogTest, ASessionThatEndsForgetsWhatIsOwed) {
  ServedLog& log = AddLog("orders", "**", absl::Hours(1));
  Open();
  Feed(Publish(Stored("a", 1)));
  session_.Release();
  log.Close();
  tasks_.RunAll();
  EXPECT_EQ(sink_->written, "");
}

TEST_F(PublishToLogTest, TheBrokersOwnMessagesAreStoredWhereALogNamesThem) {
  ServedLog& all = AddLog("all", "**");
  ServedLog& dead = AddLog("dead", "$dead/**");
  MessageFields fields;
  fields.topic = "$dead/group";
  router_.PublishOwn(fields);
  fields.topic = "$sys/stats";
  router_.PublishOwn(fields);
  EXPECT_EQ(FramesIn(all).size(), 0u);
  EXPECT_EQ(FramesIn(dead),
            (std::vector<std::string>{MessageFrame("$dead/group", "")}));
  EXPECT_EQ(counters_.messages_stored.value(), 1u);
}

TEST_F(PublishToLogTest, AWillIsStored) {
  ServedLog& log = AddLog("all", "**");
  pb::Message will;
  will.set_topic("status");
  will.set_payload("gone");
  Feed(Hello(kProtocolVersion, will));
  session_.PublishEnd("");
  EXPECT_EQ(FramesIn(log),
            (std::vector<std::string>{MessageFrame("status", "gone")}));
}

TEST_F(PublishToLogTest, ALogThatIsNotConfiguredAnyMoreTakesNothing) {
  ServedLog& log = AddLog("all", "**");
  Open();
  Feed(MessageFrame("a", "1"));
  table_.SetLogs(LogTable());
  Feed(Publish(Stored("a", 1)));
  ExpectConfirm(1, kAccepted, 0, pb::Confirm::FAILURE_NO_LOG);
  EXPECT_EQ(FramesIn(log).size(), 1u);
}

}  // namespace
}  // namespace fifobus
