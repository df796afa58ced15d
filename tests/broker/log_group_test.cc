// Queue groups over real logs, without sessions: what is settled, and what a
// restart delivers again.

#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/groups/log_group_source.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"
#include "tests/support/log_cursor_fixture.h"

namespace fifobus {
namespace {

using testing::ElementsAre;

class LogGroup : public LogCursorFixture {
 protected:
  ~LogGroup() override {
    members_.clear();
    Pump();
  }

  void Start() {
    Open();
    reader_ = log_->readers().Open("r", pattern_, "g", 1).reader;
  }
  // The broker ends, and another one begins.
  void Restart() {
    members_.clear();
    Pump();
    core_->PublishDead();
    reader_.reset();
    log_.reset();
    Pump();
    core_ = std::make_unique<FakeCore>();
    Start();
  }

  FakeMember& Join(const AckRule& rule) {
    members_.push_back(std::make_unique<FakeMember>(*core_));
    EXPECT_TRUE(members_.back()->JoinLogged("g", rule, [this](GroupHost& host) {
      return LogGroupSource::Make(options_, host, log_, pattern_, reader_);
    }));
    Pump();
    return *members_.back();
  }

  // Runs what the worker is to do now.
  void Pump() {
    do {
      core_->host.Advance(absl::ZeroDuration());
    } while (tasks_.Run());
  }
  std::vector<std::string> Take(FakeMember& member) {
    Pump();
    return member.TakePayloads();
  }

  std::string pattern_;
  std::unique_ptr<FakeCore> core_ = std::make_unique<FakeCore>();
  std::shared_ptr<DurableReader> reader_;
  std::vector<std::unique_ptr<FakeMember>> members_;
};

TEST_F(LogGroup, BeginsWithWhatIsStoredAndGoesOnWithWhatComes) {
  Start();
  Store({{"orders/a", "1"}, {"orders/b", "2"}});
  FakeMember& a = Join({.unacked_max = 10});
  EXPECT_THAT(Take(a), ElementsAre("1", "2"));
  StoreOne("orders/a", "3");
  EXPECT_THAT(Take(a), ElementsAre("3"));
}

TEST_F(LogGroup, PassesOverWhatThePatternDoesNotMatch) {
  pattern_ = "orders/b";
  Start();
  Store({{"orders/a", "1"}, {"orders/b", "2"}, {"orders/a", "3"}});
  Store({{"orders/b", "4"}, {"orders/a", "5"}});
  FakeMember& b = Join({.unacked_max = 10});
  Pump();
  const auto got = b.Take();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1].offset, 4u);
  EXPECT_EQ(reader_->position(), 2u);
  b.Answer({got[1].ack_id});
  EXPECT_EQ(reader_->position(), 2u);
  b.Answer({got[0].ack_id});
  EXPECT_EQ(reader_->position(), 6u);
}

TEST_F(LogGroup, OneMemberIsToldOfWhatWasTrimmed) {
  options_.log_segment_bytes = 4200;
  rule_.keep_messages = 3;
  Start();
  for (int i = 1; i <= 20; ++i) {
    StoreOne("orders/a", fmt::format("{}{}", i, std::string(100, ' ')));
  }
  log_->log().Retain(1);
  const uint64_t first = log_->log().first_offset();
  ASSERT_GT(first, 1u);
  FakeMember& a = Join({.unacked_max = 100});
  const std::vector<std::string> got = Take(a);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got[0], fmt::format("(gap {})", first - 1));
  EXPECT_EQ(got.size(), 1 + 20 - (first - 1));
  EXPECT_EQ(reader_->position(), first);
}

TEST_F(LogGroup, ARestartDeliversAgainWhatWasNotAnswered) {
  Start();
  Store({{"orders/a", "1"}, {"orders/a", "2"}, {"orders/a", "3"}});
  FakeMember& a = Join({.unacked_max = 10});
  Pump();
  a.Answer({a.Take().at(1).ack_id});
  Restart();
  EXPECT_EQ(reader_->position(), 1u);
  EXPECT_THAT(Take(Join({.unacked_max = 10})), ElementsAre("1", "3"));
}

TEST_F(LogGroup, IsNotReadOnWithoutMembers) {
  Start();
  Store({{"orders/a", "1"}, {"orders/a", "2"}});
  Join({.unacked_max = 1});
  members_.clear();
  Pump();
  Store({{"orders/a", "3"}});
  Pump();
  EXPECT_EQ(reader_->position(), 1u);
  EXPECT_THAT(Take(Join({.unacked_max = 10})), ElementsAre("1", "2", "3"));
}

// Members that join, read slowly, answer or do not, leave and die, and brokers
// that are restarted, in an order drawn from a seed.
class LogGroupSimulation : public LogGroup {
 protected:
  void Run(uint32_t seed) {
    random_.seed(seed);
    members_.clear();
    Bury();
    Pump();
    rule_of_acks_.unacked_max = 1 + Draw(5);
    rule_of_acks_.timeout = absl::Seconds(5);
    rule_of_acks_.deliveries_max = 3;
    for (int step = 0; step < 600; ++step) Step();
    for (int round = 0; round < 1000 && !AllSettled(); ++round) {
      if (members_.empty()) Join(rule_of_acks_);
      for (const auto& member : members_) {
        member->MakeRoom(SIZE_MAX);
        Read(*member, Answers::kDone);
      }
      core_->host.Advance(absl::Seconds(6));
      Bury();
      Pump();
    }
    ASSERT_TRUE(AllSettled()) << reader_->position();
    // Each exactly once, and each that the pattern matches.
    EXPECT_EQ(settled_, wanted_);
  }

 private:
  enum class Answers { kDone, kRandom, kNone };

  uint32_t Draw(uint32_t bound) { return random_() % bound; }
  FakeMember& Any() {
    return *members_[Draw(static_cast<uint32_t>(members_.size()))];
  }
  bool AllSettled() const {
    return reader_->position() == log_->log().next_offset();
  }

  void Step() {
    switch (Draw(16)) {
      case 0:
        if (members_.size() < 4) {
          Join(rule_of_acks_).SetRoom(Draw(2000));
        }
        break;
      case 1:
        if (!members_.empty() && Draw(3) == 0) Part();
        break;
      case 2:
        if (Draw(20) == 0) {
          members_.clear();
          Bury();
          Restart();
        }
        break;
      case 3:
      case 4:
        if (!members_.empty()) Any().MakeRoom(Draw(1500));
        break;
      case 5:
        if (Draw(3) == 0) core_->host.Advance(absl::Milliseconds(Draw(3000)));
        break;
      case 6:
      case 7:
        Publish();
        break;
      default:
        if (!members_.empty()) Read(Any(), Answers::kRandom);
    }
    Pump();
    Bury();
  }

  void Publish() {
    std::vector<TestMessage> batch(1 + Draw(6));
    for (TestMessage& message : batch) {
      const bool matches = Draw(4) > 0;
      message.topic = matches ? "orders/b" : "orders/a";
      const uint64_t offset = log_->log().next_offset() +
                              static_cast<uint64_t>(&message - batch.data());
      message.payload = fmt::format("{}", offset);
      if (matches) wanted_.insert(offset);
    }
    Store(batch);
  }

  void Part() {
    const size_t at = Draw(static_cast<uint32_t>(members_.size()));
    if (Draw(2) == 0) members_[at]->Leave("g");
    Read(*members_[at], Draw(2) == 0 ? Answers::kNone : Answers::kRandom);
    members_.erase(members_.begin() + static_cast<ptrdiff_t>(at));
  }

  void Read(FakeMember& member, Answers answers) {
    for (const FakeMember::Delivered& one : member.Take()) {
      ASSERT_EQ(one.payload, fmt::format("{}", one.offset));
      ASSERT_TRUE(wanted_.contains(one.offset));
      ASSERT_LE(one.count, rule_of_acks_.deliveries_max);
      if (answers == Answers::kNone) continue;
      const uint32_t choice = answers == Answers::kDone ? 9 : Draw(10);
      if (choice == 0) continue;
      Answer(member, one, choice);
    }
  }

  // Nobody has room meanwhile, so that the count tells whether the answer came
  // in time.
  void Answer(FakeMember& member, const FakeMember::Delivered& one,
              uint32_t choice) {
    std::vector<size_t> rooms;
    for (const auto& each : members_) {
      rooms.push_back(std::exchange(each->sink().room, 0));
    }
    const size_t unacked = member.unacked();
    const auto verdict = choice == 1   ? pb::Ack::VERDICT_RETRY
                         : choice == 2 ? pb::Ack::VERDICT_EXTEND
                                       : pb::Ack::VERDICT_DONE;
    member.Answer({one.ack_id}, verdict);
    if (verdict == pb::Ack::VERDICT_DONE && member.unacked() < unacked) {
      EXPECT_TRUE(settled_.insert(one.offset).second)
          << one.offset << " was settled before";
    }
    for (size_t i = 0; i < members_.size(); ++i) {
      members_[i]->MakeRoom(rooms[i]);
    }
  }

  void Bury() {
    for (const DeadLetter& letter : core_->host.letters) {
      EXPECT_TRUE(settled_.insert(letter.message.offset()).second)
          << letter.message.offset() << " was settled before";
      ++dead_;
    }
    core_->PublishDead();
  }

 public:
  uint64_t dead_ = 0;
  std::set<uint64_t> settled_;

 private:
  std::mt19937 random_;
  AckRule rule_of_acks_;
  std::set<uint64_t> wanted_;
};

TEST_F(LogGroupSimulation, EachMessageIsSettledExactlyOnceOrADeadLetter) {
  const auto seed =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed());
  pattern_ = "orders/b";
  options_.log_block_bytes = 500;
  options_.log_blocks_bytes_max = 500;
  Start();
  // One log after the other's end.
  for (uint32_t i = 0; i < 8 && !HasFailure(); ++i) {
    SCOPED_TRACE(fmt::format("seed {}", seed + i));
    Run(seed + i);
  }
  EXPECT_GT(settled_.size(), 300u);
  EXPECT_GT(dead_, 0u);
}

}  // namespace
}  // namespace fifobus
