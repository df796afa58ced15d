// What `fifobus pub` makes of its input: repeated, paced, separated by NULs,
// and JSON.

#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

using ::nlohmann::json;

class CliPubTest : public CliTest {
 protected:
  CliPubTest() { Use(bus_); }

  const TestBus bus_;
};

TEST_F(CliPubTest, NulsMaySeparateMessages) {
  const auto client = bus_.Subscribe("a");
  EXPECT_EQ(Run("printf 'one\\nline\\0\\0three' | fifobus pub a -0").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 3),
            (std::vector<std::string>{"one\nline", "", "three"}));
}

TEST_F(CliPubTest, ANegativeNumberIsAMessage) {
  const auto client = bus_.Subscribe("a");
  EXPECT_EQ(Run("fifobus pub a -0.5; fifobus pub a -- -0").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 2),
            (std::vector<std::string>{"-0.5", "-0"}));
}

TEST_F(CliPubTest, ANulOptionThatWasMeantAsAMessageIsTold) {
  const Outcome outcome = Run("fifobus pub a -0 </dev/null");
  EXPECT_EQ(outcome.exit, 2);
  EXPECT_NE(outcome.err.find("fifobus pub TOPIC -- -0"), std::string::npos)
      << outcome.err;
  // Whoever writes it out means it.
  EXPECT_EQ(Run("fifobus pub a --null </dev/null").exit, 0);
}

TEST_F(CliPubTest, AMessageIsRepeatedAsOftenAsSaid) {
  const auto client = bus_.Subscribe("a");
  EXPECT_EQ(Run("fifobus pub a x --repeat 3; fifobus pub a end").exit, 0);
  EXPECT_EQ(ReceivePayloads(*client, 4),
            (std::vector<std::string>{"x", "x", "x", "end"}));
  const auto endless = Spawn("exec fifobus pub a y --repeat 0", "p");
  EXPECT_EQ(ReceivePayloads(*client, 1000).back(), "y");
  endless->Signal(SIGTERM);
  EXPECT_EQ(endless->Wait(), -SIGTERM);
}

TEST_F(CliPubTest, ARateHoldsMessagesBackUntilTheyAreDue) {
  const auto client = bus_.Subscribe("a");
  const absl::Time begin = absl::Now();
  EXPECT_EQ(Run("fifobus pub a x --repeat 6 --rate 50").exit, 0);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(100)) << "5 waits of 20 ms";
  EXPECT_EQ(ReceivePayloads(*client, 6).size(), 6u);
  // One in a million seconds: the first does not wait for the second.
  const auto slow =
      Spawn("exec fifobus pub a y --repeat 0 --rate 0.000001", "p");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"y"});
}

TEST_F(CliPubTest, AWaitingPublisherDoesNotHoldUpABrokerThatStops) {
  const TempDir dir;
  UseDir(dir.path() + "/bus");
  const auto broker = Spawn("exec fifobus serve --drain-timeout 1h", "b");
  const auto slow = Spawn("fifobus pub a x --repeat 2 --rate 0.000001", "p");
  ASSERT_EQ(Run("until fifobus ls | grep -q 'fifobus pub'; do :; done").exit,
            0);
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

TEST_F(CliPubTest, SubAndPubMakeAFaithfulPipe) {
  const auto copy = Spawn("fifobus sub copy -n 2 --json", "copy");
  const auto pipe = Spawn(
      "fifobus sub a -n 2 --json | sed s/a/copy/ | fifobus pub --json", "pipe");
  AwaitSubscribers(bus_, 2);
  EXPECT_EQ(Run("printf 'x\\377\\n' | fifobus pub a --raw --header k=v "
                "--header twice=1 --header twice=2 --content-type text/plain "
                "--expire 1h; fifobus pub a y")
                .exit,
            0);
  EXPECT_EQ(pipe->Wait(), 0) << ReadFile(Path("pipe.err"));
  EXPECT_EQ(copy->Wait(), 0);
  const std::string lines = ReadFile(Path("copy"));
  const json first = json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(first["payload_base64"], "eP8K") << lines;
  EXPECT_EQ(first["headers"]["k"], "v");
  EXPECT_EQ(first["headers"]["twice"], json::array({"1", "2"}));
  EXPECT_EQ(first["content_type"], "text/plain");
  EXPECT_TRUE(first.contains("expiry"));
  EXPECT_EQ(json::parse(lines.substr(lines.find('\n')))["payload"], "y");
}

TEST_F(CliPubTest, ATopicGivenIsWhereAllJsonGoes) {
  const auto client = bus_.Subscribe("**");
  const std::string line =
      R"(echo '{"topic":"a","payload":"x","headers":{"h":"1"}}')";
  EXPECT_EQ(Run(line + " | fifobus pub --json b --header h=0").exit, 0);
  const Received got = client->Receive();
  EXPECT_EQ(got.message.topic, "b");
  HeaderReader headers(got.message);
  EXPECT_EQ(headers.Next()->value, "0");
  EXPECT_EQ(headers.Next()->value, "1") << "the line's counts";
  EXPECT_EQ(Run(line + " | fifobus pub - --json").exit, 0);
  EXPECT_EQ(client->Receive().message.topic, "a");
}

TEST_F(CliPubTest, ABadLineIsReportedAndPassedOver) {
  const auto client = bus_.Subscribe("**");
  const Outcome outcome =
      Run("printf '%s\\n' '{\"topic\":\"a\",\"payload\":\"1\"}' nonsense '' "
          "'{\"payload\":\"x\"}' '{\"topic\":\"$sys/a\",\"payload\":\"x\"}' "
          "'{\"topic\":\"a\",\"payload\":\"2\"}' | fifobus pub --json");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(ReceivePayloads(*client, 2), (std::vector<std::string>{"1", "2"}));
  for (const char* line :
       {"fifobus: line 2: no JSON", "fifobus: line 4: there is no topic\n",
        "fifobus: line 5: the topic \"$sys/a\" is the broker's own"}) {
    EXPECT_NE(outcome.err.find(line), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 3);
}

TEST_F(CliPubTest, ManyConfirmationsAreOnTheirWayAtOnce) {
  const auto client = bus_.Subscribe("a");
  const auto pipeline =
      Spawn("seq 20000 | fifobus pub a --confirm=accepted", "pub");
  EXPECT_EQ(ReceivePayloads(*client, 20000).back(), "20000");
  EXPECT_EQ(pipeline->Wait(), 0) << ReadFile(Path("pub.err"));
  const std::string lines = ReadFile(Path("pub"));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 20000);
  EXPECT_TRUE(lines.ends_with("accepted 1 0\n"));
}

TEST_F(CliPubTest, ALineIsConfirmedBeforeTheNextIsThere) {
  MakeFifo(Path("in"));
  const auto pub =
      Spawn("exec fifobus pub a --confirm <> " + Path("in"), "pub");
  for (int lines = 1; lines <= 3; ++lines) {
    EXPECT_EQ(Run("echo x > " + Path("in")).exit, 0);
    EXPECT_TRUE(WaitUntil([&] {
      const std::string out = ReadFile(Path("pub"));
      return std::count(out.begin(), out.end(), '\n') == lines;
    }));
  }
}

TEST_F(CliPubTest, ABadPublishersNameIsTold) {
  const Outcome outcome = Run("fifobus pub a x --publisher two/levels");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("the publisher \"two/levels\" is not one level"),
            std::string::npos)
      << outcome.err;
}

TEST_F(CliPubTest, ItEndsQuietlyWhenTheReaderOfItsConfirmationsGoesAway) {
  const Outcome outcome =
      Run("(yes | fifobus pub a --confirm; echo $? >&2) | head -n 1");
  EXPECT_EQ(outcome.out, "accepted 0 0\n");
  EXPECT_NE(outcome.err.find("0\n"), std::string::npos);
  EXPECT_EQ(outcome.err.find("fifobus"), std::string::npos) << outcome.err;
}

TEST_F(CliPubTest, OptionsThatDoNotGoTogetherAreWrongUsage) {
  for (const char* options :
       {"", "a x --json", "a --json --raw", "a -0 --raw", "a x -0",
        "a --repeat 2", "a x --rate 0", "a x --rate -1", "a x --repeat -1",
        "--json --wait-subscribers 1", "a x --confirm=much", "a x --resume",
        "a x --resume --publisher p", "a x --resume --confirm"}) {
    EXPECT_EQ(Run(std::string("fifobus pub </dev/null ") + options).exit, 2)
        << options;
  }
}

}  // namespace
}  // namespace fifobus
