// Looking inside a bus: ls --json, info, why.

#include <signal.h>
#include <unistd.h>

#include <set>
#include <string>

#include "absl/time/clock.h"
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

BrokerOptions SmallQueues() {
  BrokerOptions options;
  options.egress_queue_bytes_max = 4096;
  options.stall_timeout = absl::Milliseconds(10);
  return options;
}

// A bus on which `fifobus sub a/*` is stopped and has lost messages.
class StuckTest : public CliTest {
 protected:
  StuckTest() : bus_(SmallQueues()) {
    Use(bus_);
    sub_ = Spawn("exec fifobus sub 'a/*'", "sub");
    AwaitSubscribers(bus_, 1);
    sub_->Signal(SIGSTOP);
    client_ = bus_.Connect();
    EXPECT_TRUE(WaitUntil([&] {
      MessageFields message;
      message.topic = "a/b";
      const std::string payload(10000, 'x');
      message.payload = payload;
      EXPECT_EQ(client_->Publish(message), PublishOutcome::kSent);
      ++published_;
      const auto stats = bus_.broker().CollectStats();
      return stats.sessions(0).queue().dropped() > 0;
    }));
    EXPECT_TRUE(client_->Flush(Level::kAccepted).ok());
  }

  ~StuckTest() override { sub_->Signal(SIGCONT); }

  std::string pid() const { return fmt::format("{}", sub_->pid()); }

  const TestBus bus_;
  std::unique_ptr<Process> sub_;
  std::unique_ptr<Client> client_;
  uint64_t published_ = 0;
};

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(StuckTest, WhySaysWhoIsStuckAndWhatToDo) {
  EXPECT_TRUE(WaitUntil([&] {
    return bus_.broker().CollectStats().sessions(0).queue().stuck_millis() >
           1000;
  }));
  const Outcome why = Run("fifobus why a/b --interval 10ms");
  EXPECT_EQ(why.exit, 0) << why.err;
  EXPECT_TRUE(Has(why.out, fmt::format("pid {}", pid()))) << why.out;
  EXPECT_TRUE(Has(why.out, "by pattern a/*, is stuck: it has read nothing for"))
      << why.out;
  EXPECT_TRUE(Has(why.out, "It is stalled: its oldest messages are dropped"))
      << why.out;
  EXPECT_TRUE(Has(why.out, "because its queue was full for too long"))
      << why.out;
  EXPECT_TRUE(Has(why.out, fmt::format("`kill -CONT {}`", pid()))) << why.out;
  EXPECT_TRUE(Has(why.out, "were published on a/b")) << why.out;
  EXPECT_TRUE(Has(why.out, fmt::format("(pid {}", getpid()))) << why.out;
  EXPECT_TRUE(Has(Run("fifobus ls").out, "stalled, stuck "));
}

TEST_F(StuckTest, DeliveredQueuedAndLostAreAllThatWasPublished) {
  const json stats = json::parse(Run("fifobus ls --json").out);
  const json& queue = stats["sessions"][0]["queue"];
  EXPECT_EQ(queue["stalled"], true);
  EXPECT_GE(queue["stalls"], 1);
  EXPECT_EQ(queue["dropped"], queue["dropped_overflow"]);
  EXPECT_EQ(queue["delivered"].get<uint64_t>() +
                queue["queued_messages"].get<uint64_t>() +
                queue["dropped"].get<uint64_t>(),
            published_)
      << queue;
  EXPECT_GT(queue["unread_bytes"], 0);
  EXPECT_GE(queue["pipe_bytes"], queue["unread_bytes"]);
  EXPECT_EQ(stats["sessions"][0]["pid"], sub_->pid());
  EXPECT_EQ(stats["sessions"][0]["uid"], getuid());
}

TEST_F(CliTest, InfoKnowsTopicsClientsTapsAndGroups) {
  const TestBus bus;
  Use(bus);
  EXPECT_EQ(Run("mkdir -p $FIFOBUS_DIR/topics/a/b.out && "
                "mkfifo $FIFOBUS_DIR/topics/a/b.out/me")
                .exit,
            0);
  const auto reader = Spawn("exec cat $FIFOBUS_DIR/topics/a/b.out/me", "cat");
  const auto sub = Spawn("exec fifobus sub 'a/*'", "sub");
  const auto member = Spawn("exec fifobus sub 'a/*' --group g", "member");
  AwaitSubscribers(bus, 2);
  EXPECT_EQ(
      Run("fifobus pub a/b hello --wait-subscribers 3 --timeout 20s").exit, 0);
  EXPECT_TRUE(WaitUntil([&] { return ReadFile(Path("cat")) == "hello\n"; }));

  const std::string topic = Run("fifobus info a/b --interval 10ms").out;
  EXPECT_TRUE(Has(topic, "topic a/b\n")) << topic;
  EXPECT_TRUE(Has(topic, "1 message, 5 bytes; now 0.0/s")) << topic;
  EXPECT_TRUE(Has(topic, "which has ended")) << topic;
  EXPECT_TRUE(Has(topic, fmt::format("(pid {}, user", sub->pid()))) << topic;
  EXPECT_TRUE(Has(topic, "group g of a/*, members: 1")) << topic;
  EXPECT_TRUE(Has(topic, "tap a/b.out/me")) << topic;

  const std::string client =
      Run("fifobus info 'fifobus sub' --interval 10ms").out;
  EXPECT_TRUE(Has(client, fmt::format("pid {}", sub->pid()))) << client;
  EXPECT_TRUE(Has(client, fmt::format("pid {}", member->pid()))) << client;
  EXPECT_TRUE(Has(client, "a/*")) << client;
  EXPECT_TRUE(Has(client, "not stalled")) << client;

  const std::string tap = Run("fifobus info a/b.out/me --interval 10ms").out;
  EXPECT_TRUE(Has(tap, fmt::format("read by      pid {}", reader->pid())))
      << tap;
  const std::string group = Run("fifobus info g --interval 10ms").out;
  EXPECT_TRUE(Has(group, "group g of a/*\n")) << group;

  const Outcome unknown = Run("fifobus info nothing --interval 1ms");
  EXPECT_EQ(unknown.exit, 1);
  EXPECT_TRUE(Has(unknown.err, "knows no topic, client, tap, group, log"));
}

TEST_F(CliTest, RatesAreThoseOfTheInterval) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Connect();
  MessageFields message;
  message.topic = "a";
  EXPECT_EQ(client->Publish(message), PublishOutcome::kSent);
  EXPECT_TRUE(client->Flush(Level::kAccepted).ok());
  const auto info = Spawn("fifobus info a --json --interval 500ms", "info");
  // The first sample is taken when the session is there.
  EXPECT_TRUE(WaitUntil(
      [&] { return bus.broker().CollectStats().sessions_size() == 2; }));
  absl::SleepFor(absl::Milliseconds(100));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(client->Publish(message), PublishOutcome::kSent);
  }
  EXPECT_EQ(info->Wait(), 0);
  const json seen = json::parse(ReadFile(Path("info")));
  EXPECT_GT(seen["topics"][0]["messages_per_second"], 0) << seen;
  EXPECT_GE(seen["seconds"], 0.5);
}

TEST_F(CliTest, WhyExplainsTopicsThatNobodyReadsOrKnows) {
  const TestBus bus;
  Use(bus);
  EXPECT_EQ(Run("fifobus pub a x --confirm").exit, 0);
  const Outcome nobody = Run("fifobus why a --interval 1ms");
  EXPECT_EQ(nobody.exit, 0);
  EXPECT_TRUE(Has(nobody.out, "1 message of them reached nobody"))
      << nobody.out;
  EXPECT_TRUE(Has(nobody.out, "Nobody is subscribed")) << nobody.out;
  EXPECT_EQ(Run("fifobus why b --interval 1ms").exit, 1);
  EXPECT_EQ(Run("fifobus why 'a/*'").exit, 2);
  const auto sub = Spawn("exec fifobus sub b", "sub");
  AwaitSubscribers(bus, 1);
  const Outcome quiet = Run("fifobus why b --interval 1ms");
  EXPECT_TRUE(Has(quiet.out, "Nothing was published on b")) << quiet.out;
  EXPECT_TRUE(Has(quiet.out, "keeps up")) << quiet.out;
}

void CollectNames(const json& value, std::set<std::string>& names) {
  for (const auto& [name, below] : value.items()) {
    if (!value.is_array()) names.insert(name);
    if (below.is_structured() && name != "counters") CollectNames(below, names);
  }
}

TEST_F(CliTest, WhyTellsOfLinesThatWereRefused) {
  const TestBus bus;
  Use(bus);
  const auto client = bus.Subscribe("a");
  EXPECT_EQ(Run("p=$(fifobus path a) && printf '%05000d\\nshort\\n%05000d\\n' "
                "1 2 > $p")
                .exit,
            0);
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"short"});
  EXPECT_TRUE(WaitUntil([&] { return bus.Count("lines_refused") == 2; }));
  const Outcome why = Run("fifobus why a --interval 1ms");
  EXPECT_TRUE(Has(why.out, "2 lines written to a.in were refused")) << why.out;
  EXPECT_TRUE(Has(why.out, "at most 4096 bytes")) << why.out;
  EXPECT_TRUE(Has(Run("fifobus info a --interval 1ms").out, "2 lines"));
  EXPECT_EQ(
      json::parse(Run("fifobus ls --json").out)["topics"][0]["lines_refused"],
      2);
}

TEST_F(CliTest, WhyTellsOfLinesThatWereRefusedForTheirOwner) {
  BrokerOptions options;
  TopicRule& rule = options.topics.emplace_back();
  rule.pattern = "a";
  rule.publish = Principals{};
  const TestBus bus(options);
  Use(bus);
  const auto client = bus.Subscribe("a");
  EXPECT_EQ(Run("p=$(fifobus path a) && echo x > $p").exit, 0);
  EXPECT_TRUE(WaitUntil([&] { return bus.Count("lines_refused") == 1; }));
  const Outcome why = Run("fifobus why a --interval 1ms");
  EXPECT_TRUE(Has(why.out, "Nothing was published on a")) << why.out;
  EXPECT_TRUE(Has(why.out, "1 line written to a.in was refused")) << why.out;
}

TEST_F(CliTest, TheDocumentHasEachFieldOfTheJson) {
  const TestBus bus;
  Use(bus);
  const auto one = bus.Subscribe("a");
  SubscribeOptions group;
  group.group = "g";
  EXPECT_TRUE(one->Subscribe("b", group).ok());
  EXPECT_EQ(Run("fifobus pub a x && mkdir -p $FIFOBUS_DIR/topics/a.out && "
                "mkfifo $FIFOBUS_DIR/topics/a.out/me")
                .exit,
            0);
  EXPECT_TRUE(
      WaitUntil([&] { return bus.broker().CollectStats().taps_size() == 1; }));
  std::set<std::string> names;
  CollectNames(json::parse(Run("fifobus ls --json").out), names);
  for (const char* name : {"a", "1", "g", "a.out/me"}) {
    CollectNames(
        json::parse(
            Run(fmt::format("fifobus info {} --json --interval 1ms", name))
                .out),
        names);
  }
  EXPECT_GT(names.size(), 30u);
  const std::string document = ReadFile("clients/cli/JSON.md");
  for (const std::string& name : names) {
    EXPECT_TRUE(Has(document, "`" + name + "`")) << name;
  }
}

}  // namespace
}  // namespace fifobus
