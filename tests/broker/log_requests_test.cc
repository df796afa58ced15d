#include "broker/core/sessions/log_requests.h"

#include <unistd.h>

#include <memory>
#include <string>

#include "broker/bus/log_set.h"
#include "gtest/gtest.h"
#include "tests/support/log_storing.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

constexpr uint64_t kId = 42;

// One log of `orders/**` with ten messages, each in a segment of its own.
class LogRequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.state_dir = dir_.path();
    options_.log_segment_bytes = 4097;
    LogRule rule;
    rule.name = "orders";
    rule.pattern = "orders/**";
    ASSERT_TRUE(set_.SetRules({rule}).ok());
    table_.SetLogs(set_.table());
    log_ = set_.table().Find("orders");
    for (uint64_t n = 1; n <= 10; ++n) Store("message", n * 1000);
    request_.set_request_id(kId);
    request_.set_log("orders");
  }

  void Store(const std::string& body, uint64_t now_unix_nanos) {
    StoreAndWait(*log_, body, now_unix_nanos);
  }

  pb::Start& SeekTo(const std::string& durable) {
    request_.mutable_seek()->set_durable(durable);
    return *request_.mutable_seek()->mutable_start();
  }

  pb::Frame Answer(uint32_t uid = 0) {
    pb::Frame frame = AnswerLogRequest(request_, uid, *table_.snapshot());
    EXPECT_EQ(frame.has_error() ? frame.error().request_id()
                                : frame.log_reply().request_id(),
              kId);
    return frame;
  }
  pb::Error::Code Refusal() { return Answer().error().code(); }

  std::shared_ptr<DurableReader> Reader(const std::string& name) {
    return log_->readers().Find(name);
  }

  const TempDir dir_;
  BrokerOptions options_;
  SubscriptionTable table_;
  LogSet set_{options_, 1, [](auto&&...) {}};
  std::shared_ptr<ServedLog> log_;
  pb::LogRequest request_;
};

TEST_F(LogRequestsTest, AReaderIsMadeWhereItIsSoughtTo) {
  SeekTo("billing").set_offset(4);
  const pb::Frame frame = Answer();
  ASSERT_TRUE(frame.has_log_reply()) << frame.error().text();
  ASSERT_EQ(frame.log_reply().log().readers_size(), 1);
  EXPECT_EQ(frame.log_reply().log().readers(0).position(), 4u);
  EXPECT_EQ(frame.log_reply().log().readers(0).lag(), 7u);
  EXPECT_EQ(Reader("billing")->pattern(), "orders/**") << "the log's";
  request_.mutable_seek()->set_pattern("orders/new");
  request_.mutable_seek()->set_durable("new");
  EXPECT_TRUE(Answer().has_log_reply());
  EXPECT_EQ(Reader("new")->pattern(), "orders/new");
}

TEST_F(LogRequestsTest, AReaderThatExistsGoesToEachPlace) {
  SeekTo("billing").set_first(true);
  ASSERT_TRUE(Answer().has_log_reply());
  Reader("billing")->Settle(7);
  const auto position = [&] {
    EXPECT_TRUE(Answer().has_log_reply());
    return Reader("billing")->position();
  };
  SeekTo("billing").set_next(true);
  EXPECT_EQ(position(), 11u);
  SeekTo("billing").set_last(3);
  EXPECT_EQ(position(), 8u);
  SeekTo("billing").set_last(100);
  EXPECT_EQ(position(), 1u);
  SeekTo("billing").set_offset(11);
  EXPECT_EQ(position(), 11u) << "the next one is a place";
  SeekTo("billing").set_time_unix_nanos(5000);
  EXPECT_EQ(position(), 5u);
  EXPECT_TRUE(Reader("billing")->done_above().empty());
}

TEST_F(LogRequestsTest, APlaceThatIsNoneIsRefused) {
  SeekTo("billing");
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_START);
  for (const uint64_t offset : {0, 12}) {
    SeekTo("billing").set_offset(offset);
    EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_START) << offset;
  }
  EXPECT_EQ(Reader("billing"), nullptr);
}

TEST_F(LogRequestsTest, AReaderInUseIsLeftAlone) {
  SeekTo("billing").set_first(true);
  ASSERT_TRUE(Answer().has_log_reply());
  const uint64_t use = Reader("billing")->Take({.session = 7});
  SeekTo("billing").set_next(true);
  const pb::Frame refused = Answer();
  EXPECT_EQ(refused.error().code(), pb::Error::CODE_BAD_DURABLE);
  EXPECT_EQ(refused.error().text(),
            "the durable reader billing is in use by session 7; end that "
            "first");
  EXPECT_EQ(Reader("billing")->position(), 1u);
  request_.mutable_forget()->set_durable("billing");
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_DURABLE);
  Reader("billing")->Leave(use);
  EXPECT_TRUE(Answer().has_log_reply());
  EXPECT_EQ(Reader("billing"), nullptr);
}

TEST_F(LogRequestsTest, NamesAndPatternsAreChecked) {
  for (const char* name : {"", "a/b", "$dead", "a b", ".."}) {
    SeekTo(name).set_first(true);
    EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_DURABLE) << name;
  }
  SeekTo("billing").set_first(true);
  request_.mutable_seek()->set_pattern("orders//new");
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_PATTERN);
  request_.mutable_seek()->set_pattern("**");
  EXPECT_EQ(Refusal(), pb::Error::CODE_NO_LOG);
  EXPECT_EQ(Reader("billing"), nullptr);
}

TEST_F(LogRequestsTest, AReaderThatIsUnknownIsNotForgotten) {
  request_.mutable_forget()->set_durable("billing");
  const pb::Frame refused = Answer();
  EXPECT_EQ(refused.error().code(), pb::Error::CODE_BAD_DURABLE);
  EXPECT_EQ(refused.error().text(),
            "the log orders has no durable reader \"billing\"; it has none");
}

TEST_F(LogRequestsTest, ATrimTellsWhereTheLogBeginsNow) {
  request_.mutable_trim()->set_first_offset(4);
  EXPECT_EQ(Answer().log_reply().log().first_offset(), 4u);
  request_.mutable_trim()->mutable_before()->set_time_unix_nanos(8000);
  EXPECT_EQ(Answer().log_reply().log().first_offset(), 8u);
  request_.mutable_trim()->mutable_before()->set_offset(99);
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_START);
  request_.mutable_trim()->clear_before();
  request_.mutable_trim()->set_first_offset(0);
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_START);
  EXPECT_EQ(log_->log().first_offset(), 8u);
}

TEST_F(LogRequestsTest, OnlyTheBrokersUserAndRootMayTrim) {
  request_.mutable_trim()->set_first_offset(4);
  EXPECT_EQ(Answer(geteuid() + 1).error().code(), pb::Error::CODE_DENIED);
  EXPECT_EQ(log_->log().first_offset(), 1u);
  EXPECT_TRUE(Answer(geteuid()).has_log_reply());
}

TEST_F(LogRequestsTest, AUserThatMayNotSubscribeMayNotSeekOrForget) {
  TopicRule rule;
  rule.pattern = "**";
  rule.subscribe = Principals{.everyone = false, .uids = {4242}};
  table_.SetRules(TopicRules({}, {rule}));
  SeekTo("billing").set_first(true);
  EXPECT_EQ(Answer(4243).error().code(), pb::Error::CODE_DENIED);
  EXPECT_TRUE(Answer(4242).has_log_reply());
  request_.mutable_forget()->set_durable("billing");
  EXPECT_EQ(Answer(4243).error().code(), pb::Error::CODE_DENIED);
  EXPECT_NE(Reader("billing"), nullptr);
}

TEST_F(LogRequestsTest, AnUnknownLogIsToldWhichThereAre) {
  request_.set_log("order");
  request_.mutable_trim()->set_first_offset(4);
  const pb::Frame refused = Answer();
  EXPECT_EQ(refused.error().code(), pb::Error::CODE_NO_LOG);
  EXPECT_EQ(refused.error().text(),
            "the broker serves no log \"order\"; its logs are: orders "
            "(orders/**)");
}

TEST_F(LogRequestsTest, ARequestWithoutAnActionIsRefused) {
  EXPECT_EQ(Refusal(), pb::Error::CODE_BAD_FRAME);
}

}  // namespace
}  // namespace fifobus
