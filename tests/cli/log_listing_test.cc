// What a running broker tells of its logs: ls, info, why and metrics.

#include <memory>
#include <set>
#include <string>

#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/bus_support.h"
#include "tests/support/cli_support.h"
#include "tests/support/process.h"

namespace fifobus {
namespace {

using ::nlohmann::json;
using testing::HasSubstr;

constexpr int kMessages = 5;

BrokerOptions WithOrders(const std::string& state_dir) {
  BrokerOptions options;
  options.state_dir = state_dir;
  LogRule rule;
  rule.name = "orders";
  rule.pattern = "orders/**";
  options.logs = {rule};
  return options;
}

// A bus whose log has five messages, and a durable reader that is done with
// three of them.
class LogListingTest : public CliTest {
 protected:
  LogListingTest() : bus_(WithOrders(Path("state"))) {
    Use(bus_);
    ClientOptions options;
    options.publisher = "till-1";
    publisher_ = bus_.Connect(options);
    for (int i = 0; i < kMessages; ++i) Publish(fmt::format("{}", i + 1));
    EXPECT_EQ(Run("fifobus log seek orders billing --to 4").exit, 0);
  }

  void Publish(const std::string& payload) {
    MessageFields message;
    message.topic = "orders/new";
    message.payload = payload;
    const auto confirmation =
        publisher_->PublishConfirmed(message, Level::kStored, kHang);
    EXPECT_TRUE(confirmation.ok()) << confirmation.status();
  }

  const TestBus bus_;
  std::unique_ptr<Client> publisher_;
};

TEST_F(LogListingTest, LsHasTheLogAndTheLagOfItsReaders) {
  const Outcome ls = Run("fifobus ls");
  EXPECT_EQ(ls.exit, 0) << ls.err;
  EXPECT_THAT(ls.out,
              HasSubstr("orders                            5          6"));
  EXPECT_THAT(ls.out, HasSubstr("READER                   LOG"));
  const json log = json::parse(Run("fifobus ls --json").out)["logs"][0];
  EXPECT_EQ(log["name"], "orders");
  EXPECT_EQ(log["next_offset"], 6);
  EXPECT_EQ(log["committed_offset"], 5);
  EXPECT_EQ(log["appended"], 5);
  EXPECT_EQ(log["duplicates"], 0);
  EXPECT_GT(log["first_time_unix_nanos"], 0);
  EXPECT_EQ(log["readers"][0]["name"], "billing");
  EXPECT_EQ(log["readers"][0]["position"], 4);
  EXPECT_EQ(log["readers"][0]["lag"], 2);
}

TEST_F(LogListingTest, InfoAndWhyExplainIt) {
  const Outcome info = Run("fifobus info orders --interval 1ms");
  EXPECT_THAT(info.out, HasSubstr("log orders of orders/**\n"));
  EXPECT_THAT(info.out, HasSubstr("5 messages, offset 1 to 5\n"));
  EXPECT_THAT(info.out, HasSubstr("billing: 2 messages behind, at offset 4"));
  EXPECT_EQ(Run("fifobus info billing --interval 1ms").out, info.out);
  const Outcome why = Run("fifobus why orders/new --interval 1ms");
  EXPECT_THAT(why.out, HasSubstr("5 messages of them went to the log alone"));
  EXPECT_THAT(why.out, HasSubstr("Nobody else is subscribed to it.\n"));
  EXPECT_THAT(Run("fifobus info orders/new --interval 1ms").out,
              HasSubstr("  log          orders\n"));
  EXPECT_THAT(why.out, HasSubstr("The log orders stores it: 5 messages of "
                                 "orders/**, offset 1 to 5.\n"));
  EXPECT_THAT(why.out, HasSubstr("- The durable reader billing is 2 messages "
                                 "behind.\n  No session reads for it now.\n"));
}

TEST_F(LogListingTest, AReaderThatIsInUseHasItsSession) {
  const auto billing = bus_.Connect();
  SubscribeOptions durable;
  durable.durable = "billing";
  const absl::Status status = billing->Subscribe("orders/**", durable, kHang);
  ASSERT_TRUE(status.ok()) << status;
  const json readers =
      json::parse(Run("fifobus ls --json").out)["logs"][0]["readers"];
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0]["sessions"].size(), 1u);
  const Outcome in_use = Run("fifobus log seek orders billing --to start");
  EXPECT_EQ(in_use.exit, 1);
  EXPECT_THAT(in_use.err, HasSubstr("is in use by session"));
}

TEST_F(LogListingTest, AGroupsReaderHasWhatItsMembersHaveNotAnswered) {
  const auto member = bus_.Connect();
  SubscribeOptions group;
  group.durable = "workers";
  group.group = "team";
  group.acks.emplace();
  group.acks->unacked_max = 2;
  const absl::Status status = member->Subscribe("orders/**", group, kHang);
  ASSERT_TRUE(status.ok()) << status;
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(member->Receive(kHang).outcome, ReceiveOutcome::kMessage);
  }
  const json stats = json::parse(Run("fifobus ls --json").out);
  const json& workers = stats["logs"][0]["readers"].back();
  EXPECT_EQ(workers["name"], "workers");
  EXPECT_EQ(workers["group"], "team");
  EXPECT_EQ(workers["lag"], kMessages);
  EXPECT_EQ(workers["unacked"], 2);
  EXPECT_EQ(stats["groups"].size(), 0u) << "it is told with its log";
  EXPECT_THAT(Run("fifobus info workers --interval 1ms").out,
              HasSubstr("group team, 2 messages unanswered"));
  EXPECT_THAT(Run("fifobus why orders/new --interval 1ms").out,
              HasSubstr("  Its members have not answered 2 messages yet.\n"));
}

TEST_F(LogListingTest, MetricsHaveTheLag) {
  const Outcome metrics = Run("fifobus metrics");
  EXPECT_THAT(metrics.out, HasSubstr("fifobus_log_next_offset{log=\"orders\"} "
                                     "6\n"));
  EXPECT_THAT(metrics.out,
              HasSubstr("fifobus_log_reader_lag{log=\"orders\",reader="
                        "\"billing\"} 2\n"));
}

void CollectNames(const json& value, std::set<std::string>& names) {
  if (value.is_array()) {
    for (const json& each : value) CollectNames(each, names);
  }
  if (!value.is_object()) return;
  for (const auto& [name, each] : value.items()) {
    names.insert(name);
    CollectNames(each, names);
  }
}

TEST_F(LogListingTest, TheDocumentHasEachFieldOfTheJson) {
  std::set<std::string> names;
  CollectNames(json::parse(Run("fifobus ls --json").out)["logs"], names);
  CollectNames(
      json::parse(Run("fifobus info orders --json --interval 1ms").out), names);
  EXPECT_GT(names.size(), 25u);
  const std::string document = ReadFile("clients/cli/JSON.md");
  for (const std::string& name : names) {
    EXPECT_THAT(document, HasSubstr("`" + name + "`"));
  }
}

}  // namespace
}  // namespace fifobus
