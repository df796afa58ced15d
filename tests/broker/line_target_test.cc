#include "broker/core/readers/line_target.h"

#include <random>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "tests/support/core_fakes.h"

namespace fifobus {
namespace {

std::string Stored(uint64_t offset, const std::string& payload,
                   uint64_t expiry_unix_nanos = 0) {
  std::string unit(kStoredDeliveryBytes, 0);
  WriteStoredDelivery(offset, 1, unit.data());
  MessageFields fields;
  fields.topic = "t";
  fields.payload = payload;
  fields.expiry_unix_nanos = expiry_unix_nanos;
  AppendMessageFrame(fields, unit);
  return unit;
}

class LineTargetTest : public testing::Test {
 protected:
  size_t Offer(const std::string& units) {
    const Slice slice{units.data(), units.size()};
    return target_.Offer({&slice, 1});
  }

  // 0: all were read.
  uint64_t UnreadOf(size_t unread_bytes) {
    const auto unread = target_.FindUnread(unread_bytes);
    return unread ? unread->offset : 0;
  }

  FakeSink sink_;
  Counters counters_;
  LineTarget target_{sink_, counters_};
};

TEST_F(LineTargetTest, WritesThePayloadAndANewline) {
  const std::string units = Stored(1, "one") + Stored(2, "") + Stored(3, "3");
  EXPECT_EQ(Offer(units), units.size());
  EXPECT_EQ(sink_.written, "one\n\n3\n");
  EXPECT_EQ(target_.messages_written(), 3u);
}

TEST_F(LineTargetTest, TakesALineThatWasBegunAndWritesItsRestLater) {
  sink_.room = 6;
  const std::string first = Stored(1, "one") + Stored(2, "two");
  EXPECT_EQ(Offer(first + Stored(3, "three")), first.size());
  EXPECT_EQ(sink_.written, "one\ntw");
  EXPECT_EQ(target_.rest_bytes(), 2u);
  EXPECT_EQ(Offer(Stored(3, "three")), 0u);
  sink_.room = 1;
  target_.OnRoom();
  sink_.room = 100;
  target_.OnRoom();
  EXPECT_EQ(target_.rest_bytes(), 0u);
  Offer(Stored(3, "three"));
  EXPECT_EQ(sink_.written, "one\ntwo\nthree\n");
}

TEST_F(LineTargetTest, TellsTheFirstMessageOfWhichAByteIsUnread) {
  Offer(Stored(7, "one") + Stored(9, "two"));
  EXPECT_EQ(UnreadOf(8), 7u);
  EXPECT_EQ(UnreadOf(5), 7u);
  EXPECT_EQ(UnreadOf(4), 9u);
  EXPECT_EQ(UnreadOf(1), 9u);
  EXPECT_EQ(UnreadOf(0), 0u);
}

TEST_F(LineTargetTest, ALineWithARestIsNotReadBeforeThatIs) {
  sink_.room = 2;
  Offer(Stored(7, "one"));
  EXPECT_EQ(UnreadOf(0), 7u);
  sink_.room = 2;
  target_.OnRoom();
  EXPECT_EQ(UnreadOf(0), 0u);
}

TEST_F(LineTargetTest, WhatIsForgottenIsOfferedAgain) {
  sink_.room = 6;
  Offer(Stored(1, "one") + Stored(2, "two"));
  ASSERT_EQ(UnreadOf(1), 2u);
  sink_.written.resize(5);  // the reader has left, one byte is taken out
  target_.Forget();
  EXPECT_EQ(target_.rest_bytes(), 0u);
  EXPECT_EQ(UnreadOf(0), 0u);
  sink_.room = 100;
  Offer(Stored(2, "two"));
  EXPECT_EQ(sink_.written, "one\nttwo\n");
  EXPECT_EQ(UnreadOf(1), 2u);
  EXPECT_EQ(UnreadOf(0), 0u);
}

TEST_F(LineTargetTest, TellsWhetherAReaderHasBegunAMessage) {
  Offer(Stored(7, "one") + Stored(9, "two"));
  EXPECT_FALSE(target_.FindUnread(8)->begun);
  EXPECT_TRUE(target_.FindUnread(7)->begun);
  EXPECT_FALSE(target_.FindUnread(4)->begun);
  EXPECT_TRUE(target_.FindUnread(1)->begun);
}

TEST_F(LineTargetTest, WhatIsToBeRepeatedCountsAsUnreadUntilItWas) {
  Offer(Stored(1, "one") + Stored(2, "two") + Stored(3, "three"));
  ASSERT_EQ(UnreadOf(9), 2u);
  target_.Repeat(2);
  EXPECT_EQ(UnreadOf(6), 2u);
  Offer(Stored(2, "two"));
  EXPECT_EQ(sink_.written, "one\ntwo\nthree\ntwo\n");
  EXPECT_EQ(UnreadOf(1), 2u);
  EXPECT_EQ(UnreadOf(0), 0u);
}

TEST_F(LineTargetTest, PassesOverWhatHasExpiredAndWhatIsNoMessage) {
  pb::Frame gap;
  gap.mutable_gap()->set_messages(3);
  const std::string units = Stored(4, "old", 1) + ControlFrame(gap) +
                            Stored(5, "new") + Stored(6, "old", 1);
  EXPECT_EQ(Offer(units), units.size());
  EXPECT_EQ(sink_.written, "new\n");
  EXPECT_EQ(counters_.messages_expired.value(), 2u);
  sink_.room = 0;
  const std::string old = Stored(7, "old", 1);
  EXPECT_EQ(Offer(old + Stored(8, "new")), old.size());
  EXPECT_EQ(counters_.messages_expired.value(), 3u);
}

TEST_F(LineTargetTest, AMessageLargerThanThePipeComesInParts) {
  const std::string payload(300'000, 'x');
  sink_.room = 0;
  const std::string unit = Stored(1, payload);
  EXPECT_EQ(Offer(unit), 0u);
  sink_.room = 65'536;
  EXPECT_EQ(Offer(unit), unit.size());
  while (target_.rest_bytes() > 0) {
    EXPECT_EQ(UnreadOf(0), 1u);
    sink_.room = 65'536;
    target_.OnRoom();
  }
  EXPECT_EQ(sink_.written, payload + "\n");
}

// Readers that take any number of bytes, and leave: each begins with a whole
// line, and what one has had in part the next one gets.
TEST(LineTargetSimulation, EachLineIsReadWholeByOneReader) {
  const auto seed =
      static_cast<uint32_t>(testing::UnitTest::GetInstance()->random_seed());
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  std::vector<std::string> units;
  std::vector<std::string> lines;
  for (uint64_t offset = 1; offset <= 2000; ++offset) {
    lines.push_back(
        fmt::format("{}{}\n", offset, std::string(random() % 40, '.')));
    units.push_back(
        Stored(offset, lines.back().substr(0, lines.back().size() - 1)));
  }
  FakeSink sink;
  Counters counters;
  LineTarget target(sink, counters);
  size_t next = 0;
  std::vector<bool> seen(units.size() + 1);
  while (target.FindUnread(sink.written.size()) || next < units.size()) {
    std::string read;  // by one reader
    for (uint32_t i = random() % 20; i > 0; --i) {
      sink.room = 100 - sink.written.size();
      target.OnRoom();
      std::string offer;
      for (size_t at = next; at < units.size() && at < next + random() % 9;
           ++at) {
        offer += units[at];
      }
      size_t taken = offer.empty() ? 0 : [&] {
        const Slice slice{offer.data(), offer.size()};
        return target.Offer({&slice, 1});
      }();
      for (; taken > 0; ++next) taken -= units[next].size();
      const size_t bytes = std::min<size_t>(random() % 60, sink.written.size());
      read += sink.written.substr(0, bytes);
      sink.written.erase(0, bytes);
    }
    const auto unread = target.FindUnread(sink.written.size());
    if (unread) next = unread->offset - 1;
    sink.written.clear();
    target.Forget();
    for (size_t end = read.find('\n'); end != std::string::npos;
         read.erase(0, end + 1), end = read.find('\n')) {
      const std::string line = read.substr(0, end + 1);
      const auto number = static_cast<size_t>(std::atoi(line.c_str()));
      ASSERT_GE(number, 1u) << line;
      ASSERT_EQ(line, lines[number - 1]);
      ASSERT_FALSE(seen[number]) << "a whole line came twice: " << line;
      ASSERT_TRUE(number == 1 || seen[number - 1]) << "out of order: " << line;
      seen[number] = true;
    }
  }
  for (size_t number = 1; number < seen.size(); ++number) {
    EXPECT_TRUE(seen[number]) << number;
  }
}

}  // namespace
}  // namespace fifobus
