// `echo` and `cat` under `fifobus serve --keep`, whose broker is killed again
// and again.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/unique_fd.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/keeper_support.h"

namespace fifobus {
namespace {

using KeptTapsTest = KeeperTest;

TEST_F(KeptTapsTest, WhatIsWrittenWhileNoBrokerRunsComesWithTheNext) {
  Keep();
  MakeTap("t", "me");
  MakeTap("quiet", "later");
  ASSERT_EQ(std::filesystem::remove(TopicsPath("quiet.out/later")), true);
  const auto reader = Cat("t.out/me", "got");
  Run("echo before > " + TopicsPath("t.in"));
  ASSERT_TRUE(AwaitText("got", "before\n"));
  // Nobody has subscribed: it waits in the pipe.
  Run("echo waits > " + TopicsPath("quiet.in"));
  KillBrokerAndStopKeeper();
  const Outcome dead =
      Run(fmt::format("for i in 1 2 3; do echo $i > {0}; done; "
                      "printf 'no newline' > {0}",
                      TopicsPath("t.in")));
  EXPECT_EQ(dead.exit, 0) << dead.err;
  keeper_->Signal(SIGCONT);
  ASSERT_TRUE(AwaitText("got", "no newline\n"));
  EXPECT_EQ(ReadFile(Path("got")), "before\n1\n2\n3\nno newline\n");
  EXPECT_TRUE(Lives(*reader));
  EXPECT_EQ(Run("fifobus sub quiet -n 1 --timeout 60s").out, "waits\n");
}

TEST_F(KeptTapsTest, AJsonTapIsToldAndAFramesTapEnds) {
  Keep();
  MakeTap("t", "text");
  MakeTap("t", "log.json");
  MakeTap("t", "whole.frames");
  const auto text = Cat("t.out/text", "text");
  const auto json = Cat("t.out/log.json", "json");
  const auto frames = Cat("t.out/whole.frames", "frames");
  Run("fifobus pub t one --wait-subscribers 3");
  for (const char* name : {"text", "json", "frames"}) {
    ASSERT_TRUE(AwaitText(name, "one")) << name;
  }
  ReplaceBroker();
  EXPECT_EQ(frames->Wait(), 0);
  Run("fifobus pub t two --wait-subscribers 2");
  ASSERT_TRUE(AwaitText("text", "two\n"));
  EXPECT_EQ(ReadFile(Path("text")), "one\ntwo\n");
  ASSERT_TRUE(AwaitText("json", "two"));
  std::istringstream lines(ReadFile(Path("json")));
  std::string line;
  std::getline(lines, line);
  EXPECT_NE(line.find("one"), std::string::npos);
  std::getline(lines, line);
  EXPECT_EQ(line, "{\"gap\":{\"reason\":\"reconnected\"}}");
  std::getline(lines, line);
  EXPECT_NE(line.find("two"), std::string::npos);
  // One that is made later begins anew.
  MakeTap("t", "new.json");
  const auto later = Cat("t.out/new.json", "new");
  Run("fifobus pub t three --wait-subscribers 4");
  ASSERT_TRUE(AwaitText("new", "three"));
  EXPECT_EQ(ReadFile(Path("new")).find("gap"), std::string::npos);
}

// The lines of one writer among those that were read: "NAME NUMBER".
struct Lines {
  std::map<std::string, std::vector<long>> numbers;
  size_t bad = 0;
};

Lines ParseLines(const std::string& text) {
  Lines lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) {
    std::istringstream words(line);
    std::string name;
    long number = 0;
    std::string rest;
    const bool good = (words >> name >> number) && !(words >> rest) &&
                      (name == "A" || name == "B") &&
                      line == fmt::format("{} {}", name, number);
    if (good) {
      lines.numbers[name].push_back(number);
    } else {
      ++lines.bad;
      ADD_FAILURE() << "\"" << line << "\"";
    }
  }
  return lines;
}

class KillsTest : public KeeperTest, public testing::WithParamInterface<bool> {
 protected:
  void UseOnePagePipes() const {
    for (const auto& [name, access] :
         {std::pair("t.in", O_WRONLY), std::pair("t.out/me", O_RDONLY)}) {
      const UniqueFd end(
          open(TopicsPath(name).c_str(), access | O_NONBLOCK | O_CLOEXEC));
      ASSERT_EQ(fcntl(end.get(), F_SETPIPE_SZ, 4096), 4096) << name;
    }
  }
  // Echoes "NAME NUMBER" until there is a file `stop`, and ends with the count.
  std::unique_ptr<Process> Writer(const std::string& name) const {
    return Spawn(fmt::format("i=0; while [ ! -e {} ]; do i=$((i + 1)); "
                             "echo {} $i > {} || exit 9; done; echo $i",
                             Path("stop"), name, TopicsPath("t.in")),
                 "writer" + name);
  }
};

TEST_P(KillsTest, WritersAndReadersGoOnOverManyDeaths) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  Keep("--restart-delay 10ms --workers 2");
  MakeTap("t", "me");
  if (GetParam()) UseOnePagePipes();
  const auto reader = Cat("t.out/me", "got");
  MakeTap("t", "loop");
  const auto loop =
      Spawn(fmt::format("while read -r line; do echo \"$line\"; done < {}",
                        TopicsPath("t.out/loop")),
            "read");
  std::map<std::string, std::unique_ptr<Process>> writers;
  for (const char* name : {"A", "B"}) writers[name] = Writer(name);
  ASSERT_TRUE(AwaitText("got", "A 1\n") && AwaitText("got", "B 1\n"));
  constexpr int kKills = 25;
  for (int i = 0; i < kKills; ++i) {
    ReplaceBroker();
    // At whatever it is doing then.
    absl::SleepFor(absl::Microseconds(random() % 60000));
  }
  const size_t so_far = std::filesystem::file_size(Path("got"));
  EXPECT_TRUE(WaitUntil(
      [&] { return std::filesystem::file_size(Path("got")) > so_far + 1000; }));
  std::ofstream(Path("stop")).put('\n');
  for (const auto& [name, writer] : writers) {
    EXPECT_EQ(writer->Wait(), 0) << name;
  }
  Run(fmt::format("echo A 1000000000 > {}", TopicsPath("t.in")));
  ASSERT_TRUE(AwaitText("got", "A 1000000000\n"));
  ASSERT_TRUE(AwaitText("read", "A 1000000000\n"));
  EXPECT_TRUE(Lives(*reader));
  EXPECT_TRUE(Lives(*loop));
  (void)ParseLines(ReadFile(Path("read")));

  Lines lines = ParseLines(ReadFile(Path("got")));
  lines.numbers["A"].pop_back();
  long lost = 0;
  for (const auto& [name, numbers] : lines.numbers) {
    EXPECT_TRUE(std::adjacent_find(numbers.begin(), numbers.end(),
                                   std::greater_equal<>()) == numbers.end())
        << name << ": out of order or twice";
    const long written = std::atol(ReadFile(Path("writer" + name)).c_str());
    lost += written - static_cast<long>(numbers.size());
    EXPECT_GT(numbers.size(), 1000u);
  }
  std::cout << "lost in " << kKills << " brokers' hands: " << lost << "\n";
  // A chunk of each: what a pipe of 64 KiB held. A line has at least 4 bytes.
  EXPECT_LE(lost, kKills * (64 << 10) / 4);
}

INSTANTIATE_TEST_SUITE_P(Pipes, KillsTest, testing::Bool(),
                         [](const auto& param) {
                           return param.param ? "OfOnePage" : "OfUsualSize";
                         });

TEST_F(KeptTapsTest, NoLineIsCutThoughTheReaderIsStuck) {
  Keep();
  MakeTap("t", "me");
  const UniqueFd reader(
      open(TopicsPath("t.out/me").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  // More than the pipe takes, and less than what stalls a subscriber. Shorter
  // lines would fit PIPE_BUF even by the hundred.
  Run("seq -f 'line %0100.0f' 9000 | fifobus pub t --wait-subscribers 1");
  ASSERT_TRUE(WaitUntil([&] {
    return Run("fifobus ls --json | grep -q 'messages_published\": *9000'")
               .exit == 0;
  }));
  ReplaceBroker();
  Run("fifobus pub t 'line after' --wait-subscribers 1");
  std::string text;
  while (text.find("after\n") == std::string::npos) {
    const std::string more = ReadBytes(reader.get(), 1);
    ASSERT_FALSE(more.empty()) << text.size();
    text += more;
    char bytes[65536];
    const ssize_t size = read(reader.get(), bytes, sizeof(bytes));
    if (size > 0) text.append(bytes, static_cast<size_t>(size));
  }
  long expected = 1;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); ++expected) {
    if (line == "line after") break;
    ASSERT_EQ(line, fmt::format("line {:0100}", expected));
  }
  EXPECT_GT(expected, 1000);
}

TEST_F(KeptTapsTest, ALongLineThatWasCutEndsBeforeTheNext) {
  Keep();
  MakeTap("t", "me");
  const UniqueFd reader(
      open(TopicsPath("t.out/me").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Run("head -c 5000000 /dev/zero | tr '\\0' x | "
      "fifobus pub t --raw --wait-subscribers 1 --confirm");
  ReplaceBroker();
  Run("fifobus pub t after --wait-subscribers 1");
  std::string text;
  ASSERT_TRUE(WaitUntil([&] {
    char bytes[65536];
    const ssize_t size = read(reader.get(), bytes, sizeof(bytes));
    if (size > 0) text.append(bytes, static_cast<size_t>(size));
    return text.ends_with("after\n");
  })) << text.size();
  EXPECT_LT(text.size(), 5000000u);
  EXPECT_EQ(text.substr(text.find('\n')), "\nafter\n");
}

}  // namespace
}  // namespace fifobus
