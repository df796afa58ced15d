// The logs of a configuration: opened, changed and laid aside.

#include "broker/bus/log_set.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

LogRule Rule(const std::string& name, const std::string& pattern) {
  LogRule rule;
  rule.name = name;
  rule.pattern = pattern;
  return rule;
}

class LogSetTest : public testing::Test {
 protected:
  void SetUp() override { options_.state_dir = dir_.path() + "/state"; }

  bool Exists(const std::string& name) const {
    return std::filesystem::exists(options_.state_dir + "/logs/" + name);
  }

  const TempDir dir_;
  BrokerOptions options_;
  LogSet set_{options_, 1, [](auto&&...) {}};
};

TEST_F(LogSetTest, LogsAreOpenedInTheirOrder) {
  ASSERT_TRUE(
      set_.SetRules({Rule("new", "orders/new"), Rule("all", "**")}).ok());
  EXPECT_TRUE(Exists("new"));
  EXPECT_TRUE(Exists("all"));
  const LogTable table = set_.table();
  EXPECT_EQ(table.LogOf("orders/new")->name(), "new");
  EXPECT_EQ(table.LogOf("orders/old")->name(), "all");
}

TEST_F(LogSetTest, ALogThatIsOpenTakesItsNewRule) {
  ASSERT_TRUE(set_.SetRules({Rule("orders", "orders/*")}).ok());
  const auto log = set_.table().Find("orders");
  LogRule changed = Rule("orders", "orders/**");
  changed.keep_messages = 10;
  ASSERT_TRUE(set_.SetRules({changed, Rule("more", "more")}).ok());
  EXPECT_EQ(set_.table().Find("orders"), log);
  EXPECT_EQ(log->log().rule().keep_messages, 10u);
  EXPECT_EQ(set_.table().LogOf("orders/a/b"), log);
}

TEST_F(LogSetTest, ALogThatIsNotNamedStaysOnDiskAndLosesNothing) {
  LogRule rule = Rule("orders", "orders/**");
  rule.keep_messages = 1;
  ASSERT_TRUE(set_.SetRules({rule}).ok());
  const auto log = set_.table().Find("orders");
  ASSERT_TRUE(set_.SetRules({}).ok());
  EXPECT_EQ(set_.table().LogOf("orders/a"), nullptr);
  EXPECT_EQ(log->log().rule().keep_messages, 0u);
  EXPECT_TRUE(Exists("orders"));
  // It comes back as it was.
  ASSERT_TRUE(set_.SetRules({rule}).ok());
  EXPECT_EQ(set_.table().Find("orders"), log);
  EXPECT_EQ(log->log().rule().keep_messages, 1u);
}

TEST_F(LogSetTest, ABadRuleChangesNothing) {
  ASSERT_TRUE(set_.SetRules({Rule("orders", "orders/**")}).ok());
  for (const std::vector<LogRule>& bad :
       {std::vector<LogRule>{Rule("fresh", "a"), Rule("a/b", "b")},
        {Rule("fresh", "a"), Rule("fresh", "b")},
        {Rule("fresh", "a//b")},
        {Rule("$dead", "a")}}) {
    EXPECT_FALSE(set_.SetRules(bad).ok());
    EXPECT_FALSE(Exists("fresh"));
    EXPECT_EQ(set_.table().entries().size(), 1u);
  }
}

TEST_F(LogSetTest, ALogThatCannotBeOpenedLeavesTheOthersAsTheyAre) {
  LogRule rule = Rule("orders", "orders/**");
  ASSERT_TRUE(set_.SetRules({rule}).ok());
  // Another broker has it.
  LogSet other(options_, 1, [](auto&&...) {});
  ASSERT_TRUE(other.SetRules({Rule("taken", "taken")}).ok());
  rule.keep_messages = 7;
  const absl::Status status = set_.SetRules({rule, Rule("taken", "taken")});
  EXPECT_NE(status.message().find("log \"taken\": "), absl::string_view::npos);
  EXPECT_EQ(set_.table().Find("orders")->log().rule().keep_messages, 0u);
  EXPECT_EQ(set_.table().entries().size(), 1u);
}

TEST_F(LogSetTest, AStateDirectoryThatCannotBeUsedIsOneClearLine) {
  const std::string to_do =
      "; name a state directory that the broker's user owns and can write "
      "(serve --state-dir)";
  const auto expect = [&](const std::string& text) {
    const absl::Status status = set_.SetRules({Rule("orders", "orders/**")});
    EXPECT_EQ(status.message(), "log \"orders\": " + text + to_do);
  };
  options_.state_dir = "/proc/none";  // nobody can make it
  expect("mkdir /proc/none/logs/orders: No such file or directory");
  options_.state_dir = "";
  EXPECT_EQ(set_.SetRules({Rule("orders", "orders/**")}).message(),
            "log \"orders\": a log needs a state directory");
  options_.state_dir = dir_.path() + "/foreign";
  const std::string logs = options_.state_dir + "/logs";
  std::filesystem::create_directories(logs);
  if (chown(logs.c_str(), 65534, 65534) != 0) {
    GTEST_SKIP() << "only root can give a folder away, and not in a sandbox";
  }
  expect(logs + " belongs to another user");
}

TEST_F(LogSetTest, ALogOfAnotherBrokerSaysWhatToDo) {
  ASSERT_TRUE(set_.SetRules({Rule("orders", "orders/**")}).ok());
  LogSet other(options_, 1, [](auto&&...) {});
  const absl::Status status = other.SetRules({Rule("orders", "orders/**")});
  EXPECT_NE(status.message().find("stop that one first"),
            absl::string_view::npos)
      << status;
}

}  // namespace
}  // namespace fifobus
