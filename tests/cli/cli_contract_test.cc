// The delivery contract as shells see it: retained values, groups, requests,
// wills, confirmation, gaps.

#include <signal.h>

#include <string>

#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

using ::nlohmann::json;

// A process whose parent was killed waits for another to reap it.
bool IsZombie(const std::string& pid) {
  const std::string stat =
      ReadFile(fmt::format("/proc/{}/stat", std::stoi(pid)));
  return stat.find(") Z ") != std::string::npos;
}

TEST_F(CliTest, PubConfirmsAndWaitsForSubscribers) {
  const TestBus bus;
  Use(bus);
  EXPECT_EQ(Run("fifobus pub a x --confirm").out, "accepted 0 0\n");
  const Outcome none =
      Run("fifobus pub a x --wait-subscribers 1 --timeout 50ms");
  EXPECT_EQ(none.exit, 3) << none.err;
  const auto publisher = Spawn(
      "printf 'one\\ntwo\\n' | fifobus pub a --wait-subscribers 1 --confirm",
      "p");
  const auto client = bus.Subscribe("a");
  EXPECT_EQ(ReceivePayloads(*client, 2),
            (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(publisher->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("p")), "accepted 1 0\naccepted 1 0\n");
}

TEST_F(CliTest, RetainedValuesComeFirstAndAreMarked) {
  const TestBus bus;
  Use(bus);
  EXPECT_EQ(Run("fifobus pub a/b old --retain --confirm").exit, 0);
  EXPECT_EQ(Run("fifobus sub 'a/*' -n 1 --show-retained --show-topic").out,
            "retained a/b old\n");
  EXPECT_EQ(json::parse(Run("fifobus sub a/b -n 1 --json").out)["retained"],
            true);
  EXPECT_EQ(Run("fifobus sub a/b --no-retained --timeout 50ms").out, "");
  EXPECT_EQ(Run("fifobus pub a/b '' --retain --confirm").exit, 0);
  EXPECT_EQ(Run("fifobus sub a/b --timeout 50ms").exit, 3) << "cleared";
}

TEST_F(CliTest, MetadataGoesWithTheMessage) {
  const TestBus bus;
  Use(bus);
  const auto object = Spawn("fifobus sub a -n 1 --json", "json");
  AwaitSubscribers(bus, 1);
  EXPECT_EQ(Run("fifobus pub a x --header k=v --header empty= --header "
                "'eq=a=b' --content-type text/plain --expire 1h")
                .exit,
            0);
  EXPECT_EQ(object->Wait(), 0);
  const json message = json::parse(ReadFile(Path("json")));
  EXPECT_EQ(message["headers"]["k"], "v");
  EXPECT_EQ(message["headers"]["empty"], "");
  EXPECT_EQ(message["headers"]["eq"], "a=b");
  EXPECT_EQ(message["content_type"], "text/plain");
  EXPECT_TRUE(message.contains("expiry"));
}

TEST_F(CliTest, AGapIsPrintedAndMayFail) {
  const TestBus bus;
  Use(bus);
  const auto lax = Spawn("fifobus sub a -n 1", "lax");
  const auto strict = Spawn("fifobus sub a --fail-on-gap", "strict");
  AwaitSubscribers(bus, 2);
  EXPECT_EQ(Run("fifobus pub a stale --expire 0; fifobus pub a fresh").exit, 0);
  EXPECT_EQ(strict->Wait(), 1);
  EXPECT_EQ(lax->Wait(), 0);
  EXPECT_EQ(ReadFile(Path("lax")), "fresh\n");
  for (const char* name : {"lax.err", "strict.err"}) {
    EXPECT_NE(ReadFile(Path(name)).find("1 messages are lost here"),
              std::string::npos);
    EXPECT_NE(ReadFile(Path(name)).find("(expired): a=1"), std::string::npos)
        << ReadFile(Path(name));
  }
}

TEST_F(CliTest, AWillIsPublishedForOneWhoIsKilledOnly) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Subscribe("status/*");
  const std::string sub =
      "exec fifobus sub a --will-topic status/x --will-payload ";
  const auto good = Spawn(sub + "left --timeout 50ms", "good");
  EXPECT_EQ(good->Wait(), 3);
  AwaitSubscribers(bus, 1);  // the client: the next one is not the last one
  const auto killed = Spawn(sub + "died --will-retain", "killed");
  AwaitSubscribers(bus, 2);
  killed->Signal(SIGKILL);
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"died"});
  EXPECT_EQ(Run("fifobus sub status/x -n 1").out, "died\n") << "retained";
}

TEST_F(CliTest, AGroupSharesAndAcknowledgesWhatWasPrinted) {
  const TestBus bus;
  Use(bus);
  const std::string sub = "fifobus sub work --group g --ack -n 1 --json";
  const auto first = Spawn(sub, "first");
  AwaitSubscribers(bus, 1);
  EXPECT_EQ(Run("printf '1\\n2\\n' | fifobus pub work").exit, 0);
  EXPECT_EQ(first->Wait(), 0);
  // The group waits for its next member; what was printed is done.
  const json second = json::parse(Run(sub).out);
  EXPECT_EQ(second["payload"], "2");
  EXPECT_GT(second["ack_id"], 0);
  const auto third = Spawn("fifobus sub work --group g --ack", "third");
  AwaitSubscribers(bus, 1);
  const std::string table = Run("fifobus ls").out;
  EXPECT_NE(table.find("GROUP"), std::string::npos) << table;
  EXPECT_EQ(json::parse(Run("fifobus ls --json").out)["groups"][0]["name"],
            "g");
  EXPECT_EQ(ReadFile(Path("third")), "");
}

TEST_F(CliTest, OverflowAndBoundsAreShownByLs) {
  const TestBus bus;
  Use(bus);
  const auto sub = Spawn("fifobus sub a --overflow latest", "s");
  AwaitSubscribers(bus, 1);
  const json stats = json::parse(Run("fifobus ls --json").out);
  EXPECT_EQ(stats["sessions"][0]["queue"]["overflow"], "latest") << stats;
  EXPECT_NE(Run("fifobus ls").out.find("latest"), std::string::npos);
}

TEST_F(CliTest, ReqPrintsTheReplyOfACommand) {
  const TestBus bus;
  Use(bus);
  const auto responder = Spawn(
      "exec fifobus reply 'calc/*' --exec 'tr a-z A-Z; echo "
      "\"$FIFOBUS_TOPIC $FIFOBUS_HEADER_TRACE_ID\"' --jobs 4",
      "r");
  AwaitSubscribers(bus, 1);
  EXPECT_EQ(Run("fifobus req calc/up abc --header trace-id=7").out,
            "ABCcalc/up 7\n");
  // Larger than a pipe, both ways.
  const Outcome large = Run(
      "head -c 300000 /dev/zero | tr '\\0' a | fifobus req calc/up | wc -c");
  EXPECT_EQ(std::stoi(large.out), 300000 + 9);
  responder->Signal(SIGTERM);
  EXPECT_EQ(responder->Wait(), 0);
}

TEST_F(CliTest, ReqTellsFailuresApart) {
  const TestBus bus;
  Use(bus);
  Outcome outcome = Run("fifobus req nobody x --timeout 60s");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("no responders"), std::string::npos);
  const auto responder =
      Spawn("exec fifobus reply r --exec 'echo out; exit 7'", "r");
  const auto sleeper = Spawn("exec fifobus reply s --exec 'sleep 1000'", "s");
  AwaitSubscribers(bus, 2);
  outcome = Run("fifobus req r x");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out, "out\n");
  EXPECT_NE(outcome.err.find("exit code 7"), std::string::npos) << outcome.err;
  outcome = Run("fifobus req s x --timeout 100ms");
  EXPECT_EQ(outcome.exit, 3);
  // The command dies with its responder, however that ends.
  const std::string running =
      fmt::format("pgrep -P {} -f 'sleep 1000' | wc -l", sleeper->pid());
  EXPECT_EQ(Run(running).out, "1\n");
  const std::string child = Run(fmt::format("pgrep -P {}", sleeper->pid())).out;
  sleeper->Signal(SIGKILL);
  (void)sleeper->Wait();
  EXPECT_TRUE(WaitUntil(
      [&] { return kill(std::stoi(child), 0) != 0 || IsZombie(child); }));
}

}  // namespace
}  // namespace fifobus
