#include "clients/cli/bridge/dead_letters.h"

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/bridge/map_fixture.h"

namespace fifobus::bridge {
namespace {

class DeadLettersTest : public MapTest {
 protected:
  const std::unique_ptr<Client> reader_ = bus_->Subscribe("bridge/dead");
};

TEST_F(DeadLettersTest, LetterSaysWhatItIsAndWhy) {
  ASSERT_TRUE(dead_letters_
                  .Put("out a/**", "a/b offset 7",
                       DeadReason::kTooLargeForServer, "", "payload")
                  .ok());
  const OwnedMessage letter = NextOnBus(*reader_);
  EXPECT_EQ(letter.payload, "payload");
  EXPECT_EQ(HeaderOf(letter, "fifobus-origin"), "edge1");
  EXPECT_EQ(HeaderOf(letter, "bridge-map"), "out a/**");
  EXPECT_EQ(HeaderOf(letter, "bridge-source"), "a/b offset 7");
  EXPECT_EQ(HeaderOf(letter, "bridge-reason"),
            "it is larger than the server's max_payload");
}

TEST_F(DeadLettersTest, BytesOfASubjectThatAreNoTextAreEncoded) {
  ASSERT_TRUE(dead_letters_
                  .Put("in S/c", "a.\x01%\xff", DeadReason::kNoTopic,
                       "as a topic it is bad", "")
                  .ok());
  const OwnedMessage letter = NextOnBus(*reader_);
  EXPECT_EQ(HeaderOf(letter, "bridge-source"), "a.%01%25%FF");
  EXPECT_EQ(HeaderOf(letter, "bridge-reason"), "as a topic it is bad");
}

TEST_F(DeadLettersTest, PayloadThatTheBusCannotCarryIsLeftOut) {
  const std::string huge(BrokerOptions().frame_bytes_max + 1, 'x');
  ASSERT_TRUE(
      dead_letters_.Put("in S/c", "a", DeadReason::kRefusedByBus, "", huge)
          .ok());
  const OwnedMessage letter = NextOnBus(*reader_);
  EXPECT_EQ(letter.payload, "");
  EXPECT_NE(HeaderOf(letter, "bridge-reason").find("is left out"),
            std::string::npos);
}

TEST_F(DeadLettersTest, LettersAreCountedByMapAndReason) {
  const auto put = [this](std::string_view map, DeadReason reason) {
    ASSERT_TRUE(dead_letters_.Put(map, "a", reason, "", "").ok());
  };
  put("one", DeadReason::kNoTopic);
  put("one", DeadReason::kNoTopic);
  put("one", DeadReason::kTooLargeForStream);
  put("two", DeadReason::kNoSubject);
  using Counts = std::map<std::string, uint64_t>;
  EXPECT_EQ(dead_letters_.counts("one"),
            (Counts{{"no-topic", 2}, {"too-large-for-stream", 1}}));
  EXPECT_EQ(dead_letters_.counts("two"), (Counts{{"no-subject", 1}}));
  EXPECT_EQ(dead_letters_.counts("three"), Counts());
}

TEST_F(DeadLettersTest, WithoutABrokerTheMessageIsNotDone) {
  bus_->Stop();
  EXPECT_FALSE(
      dead_letters_.Put("one", "a", DeadReason::kNoTopic, "", "").ok());
  EXPECT_TRUE(dead_letters_.counts("one").empty());
}

}  // namespace
}  // namespace fifobus::bridge
