// Queue groups under random load, without an operating system: members that
// join, read slowly, answer or do not, leave and die in an order drawn from a
// seed. At the end every message must be accounted for.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/group_fakes.h"

namespace fifobus {
namespace {

// What happened to messages over all seeds; each kind must have happened.
struct Tally {
  uint64_t received = 0;  // or acknowledged
  uint64_t announced = 0;
  uint64_t abandoned = 0;
  uint64_t dead_lettered = 0;
  uint64_t redelivered = 0;
};

class GroupSimulation {
 public:
  GroupSimulation(uint32_t seed, bool acked) : random_(seed) {
    if (acked) {
      rule_.emplace();
      rule_->unacked_max = 1 + Draw(5);
      rule_->timeout = absl::Seconds(5);
      rule_->deliveries_max = 3;
    }
    core_.options.egress_queue_bytes_max = 3000;
    core_.options.group_run_messages_max = 4;
    core_.options.group_linger = absl::Seconds(8);
  }

  void Step() {
    switch (Draw(12)) {
      case 0:
        if (members_.size() < 4) Join();
        break;
      case 1:
        if (!members_.empty() && Draw(3) == 0) Part(Any());
        break;
      case 2:
      case 3:
        if (!members_.empty()) Any().MakeRoom(Draw(1500));
        break;
      case 4:
        if (Draw(3) == 0) core_.host.Advance(absl::Milliseconds(Draw(3000)));
        break;
      case 5:
      case 6:
      case 7:
        if (!members_.empty()) Read(Any(), Answers::kRandom);
        break;
      default:
        Publish();
    }
    NoteEnd();
  }

  // All part, at once or after they have read and answered everything; then
  // nothing is missing.
  void Finish(Tally& tally) {
    const int rounds = Draw(2) == 0 ? 0 : 10;
    for (int round = 0; round < rounds; ++round) {
      for (const auto& member : members_) {
        member->MakeRoom(SIZE_MAX);
        Read(*member, Answers::kDone);
      }
      core_.host.Advance(absl::Seconds(6));
    }
    while (!members_.empty()) Part(Any());
    core_.host.Advance(absl::Minutes(1));
    NoteEnd();
    Check(tally);
  }

 private:
  enum class Answers { kDone, kRandom, kNone };

  uint32_t Draw(uint32_t bound) { return random_() % bound; }
  FakeMember& Any() {
    return *members_[Draw(static_cast<uint32_t>(members_.size()))];
  }

  void Join() {
    members_.push_back(std::make_unique<FakeMember>(core_));
    members_.back()->SetRoom(Draw(2000));
    EXPECT_TRUE(members_.back()->Join("g", rule_));
  }

  // Its death, or an orderly end. Its pipe takes the rest of what was begun
  // before, so that what was sent to it is known.
  void Part(FakeMember& member) {
    const size_t begun = member.egress().state().queued_bytes;
    if (begun > 0) member.MakeRoom(begun);
    if (Draw(2) == 0) member.Leave("g");
    Read(member, Draw(2) == 0 ? Answers::kNone : Answers::kRandom);
    last_of_.erase(&member);
    std::erase_if(members_,
                  [&](const auto& one) { return one.get() == &member; });
  }

  void Publish() {
    if (core_.Stats().groups_size() == 0)
      return;  // it would not be the group's
    std::vector<std::string> payloads;
    for (uint32_t i = 0; i <= Draw(9); ++i) {
      payloads.push_back(
          fmt::format("{:08}{}", ++published_, std::string(Draw(300), 'x')));
    }
    core_.Publish(payloads);
  }

  void Read(FakeMember& member, Answers answers) {
    for (const FakeMember::Delivered& one : member.Take()) {
      uint64_t number = 0;
      if (one.payload.starts_with("(gap ")) {
        ASSERT_TRUE(absl::SimpleAtoi(
            one.payload.substr(5, one.payload.size() - 6), &number));
        announced_ += number;
        continue;
      }
      ASSERT_TRUE(absl::SimpleAtoi(one.payload.substr(0, 8), &number));
      if (rule_) {
        TakeAcked(member, one, number, answers);
      } else {
        TakePlain(member, number);
      }
    }
  }

  void TakePlain(const FakeMember& member, uint64_t number) {
    EXPECT_TRUE(settled_.emplace(number, 1).second) << number << " came twice";
    uint64_t& last = last_of_[&member];
    EXPECT_GT(number, last) << "one member's messages keep their order";
    last = number;
  }

  void TakeAcked(FakeMember& member, const FakeMember::Delivered& one,
                 uint64_t number, Answers answers) {
    EXPECT_TRUE(deliveries_.emplace(number, one.count).second)
        << "delivery " << one.count << " of " << number << " came twice";
    EXPECT_LE(one.count, rule_->deliveries_max);
    const auto settled = settled_.find(number);
    if (settled != settled_.end()) {
      EXPECT_LE(one.count, settled->second) << number << " was done already";
    }
    if (answers == Answers::kNone) return;
    const uint32_t choice = answers == Answers::kDone ? 9 : Draw(10);
    if (choice == 0) return;
    if (choice == 3)
      return member.Answer({one.ack_id}, pb::Ack::VERDICT_EXTEND);
    const bool done = choice > 2;
    // Nobody has room meanwhile, so that nothing new is delivered and the count
    // tells whether the answer came in time.
    std::vector<size_t> rooms;
    for (const auto& each : members_) {
      rooms.push_back(std::exchange(each->sink().room, 0));
    }
    const size_t unacked = member.unacked();
    member.Answer({one.ack_id},
                  done ? pb::Ack::VERDICT_DONE : pb::Ack::VERDICT_RETRY);
    if (done && member.unacked() < unacked) {
      EXPECT_TRUE(settled_.emplace(number, one.count).second) << number;
    }
    for (size_t i = 0; i < members_.size(); ++i) {
      members_[i]->MakeRoom(rooms[i]);
    }
  }

  // What was dropped and not announced when the group ended never will be.
  void NoteEnd() {
    if (core_.Stats().groups_size() > 0) return;
    unannounced_ = core_.counters.messages_dropped.value() - announced_;
  }

  void Check(Tally& tally) {
    std::set<std::string> dead;
    for (const DeadLetter& letter : core_.host.letters) {
      EXPECT_TRUE(dead.emplace(letter.message.frame()).second);
      EXPECT_EQ(letter.message.deliveries(), rule_->deliveries_max);
      const pb::Message message = Parse(letter.message.frame()).message();
      uint64_t number = 0;
      ASSERT_TRUE(absl::SimpleAtoi(message.payload().substr(0, 8), &number));
      EXPECT_FALSE(settled_.contains(number));
    }
    const Counters& counters = core_.counters;
    const uint64_t dropped = counters.messages_dropped.value();
    EXPECT_EQ(settled_.size() + dead.size() + dropped +
                  counters.messages_abandoned.value(),
              published_);
    EXPECT_EQ(announced_ + unannounced_, dropped);
    EXPECT_EQ(core_.Stats().groups_size(), 0);
    EXPECT_EQ(core_.valve->pauses, 0);
    tally.received += settled_.size();
    tally.announced += announced_;
    tally.abandoned += counters.messages_abandoned.value();
    tally.dead_lettered += dead.size();
    tally.redelivered += counters.messages_redelivered.value();
  }

  std::mt19937 random_;
  FakeCore core_;
  std::optional<AckRule> rule_;
  std::vector<std::unique_ptr<FakeMember>> members_;
  uint64_t published_ = 0;
  uint64_t announced_ = 0;
  uint64_t unannounced_ = 0;
  // Received, or acknowledged, and with which delivery.
  std::map<uint64_t, uint32_t> settled_;
  std::map<const FakeMember*, uint64_t> last_of_;
  std::set<std::pair<uint64_t, uint32_t>> deliveries_;  // number and count
};

Tally RunSeeds(bool acked) {
  const uint32_t first =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed()) *
      1000;
  Tally tally;
  for (uint32_t seed = first; seed < first + 30; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    GroupSimulation simulation(seed, acked);
    for (int step = 0; step < 2000; ++step) simulation.Step();
    simulation.Finish(tally);
    if (testing::Test::HasFailure()) break;
  }
  return tally;
}

// Each would say little if one of these never happened.
TEST(GroupSimulation, EachMessageIsReceivedOnceOrAnnouncedAsLostOrAbandoned) {
  const Tally tally = RunSeeds(/*acked=*/false);
  EXPECT_GT(tally.received, 10000u);
  EXPECT_GT(tally.announced, 500u);
  EXPECT_GT(tally.abandoned, 20u);
}

TEST(GroupSimulation, EachMessageIsDoneOnceOrDeadOrAnnouncedOrAbandoned) {
  const Tally tally = RunSeeds(/*acked=*/true);
  EXPECT_GT(tally.received, 5000u);
  EXPECT_GT(tally.announced, 500u);
  EXPECT_GT(tally.redelivered, 500u);
  EXPECT_GT(tally.dead_lettered, 50u);
  EXPECT_GT(tally.abandoned, 5u);
}

}  // namespace
}  // namespace fifobus
