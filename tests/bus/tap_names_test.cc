// Whatever happens to names under topics/, the broker comes to be as what lies
// there.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "broker/base/unique_fd.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

namespace fs = std::filesystem;

class TapNamesTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return bus_.dir() + "/topics/" + name;
  }
  bool AwaitFifo(const std::string& name) const {
    return WaitUntil([&] { return fs::is_fifo(Path(name)); });
  }
  void MakeTopic(const std::string& topic) const {
    fs::create_directories(Path(topic + ".out"));
    ASSERT_TRUE(AwaitFifo(topic + ".in"));
  }
  // As a shell does it.
  static void WriteTo(const std::string& path, const std::string& text) {
    const UniqueFd fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(write(fd.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  void Echo(const std::string& topic, const std::string& text) const {
    WriteTo(Path(topic + ".in"), text);
  }
  bool AwaitTaps(int count) const {
    return WaitUntil(
        [&] { return bus_.broker().CollectStats().taps_size() == count; });
  }
  UniqueFd OpenToRead(const std::string& name) const {
    return UniqueFd(
        open(Path(name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  // Publishes until the reader has got something.
  void ExpectReads(const std::string& topic, const std::string& name) const {
    const auto publisher = bus_.Connect();
    UniqueFd reader;
    EXPECT_TRUE(WaitUntil([&] {
      reader = OpenToRead(name);
      EXPECT_EQ(publisher->Publish(topic, "x"), PublishOutcome::kSent);
      EXPECT_TRUE(publisher->Ping(kHang).ok());
      char byte;
      return read(reader.get(), &byte, 1) == 1 && byte == 'x';
    }));
  }
  std::vector<std::string> AsideFiles() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(Path(""))) {
      const std::string name = entry.path().filename().string();
      if (name.find(".aside-") != std::string::npos) names.push_back(name);
    }
    return names;
  }

  TestBus bus_;
};

TEST_F(TapNamesTest, ALineWrittenWhereTheFifoWasMissingIsAMessage) {
  MakeTopic("t");
  const auto client = bus_.Subscribe("t");
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(unlink(Path("t.in").c_str()), 0);
    Echo("t", fmt::format("line {}\n", i));  // a regular file, mostly
    EXPECT_EQ(ReceivePayloads(*client, 1),
              std::vector<std::string>{fmt::format("line {}", i)});
    ASSERT_TRUE(AwaitFifo("t.in"));
  }
}

TEST_F(TapNamesTest, AStrayFilesLinesWaitForASubscriberAndItIsKept) {
  MakeTopic("t");
  WriteTo(Path("new"), "one\ntwo\n" + std::string(5000, 'x') + "\nthree");
  ASSERT_EQ(rename(Path("new").c_str(), Path("t.in").c_str()), 0);
  EXPECT_TRUE(WaitUntil([&] { return bus_.Count("lines_refused") == 1; }))
      << "the one that is too long";
  const auto client = bus_.Subscribe("t");
  EXPECT_EQ(ReceivePayloads(*client, 3),
            (std::vector<std::string>{"one", "two", "three"}));
  ASSERT_EQ(AsideFiles().size(), 1u);
  EXPECT_EQ(fs::file_size(Path(AsideFiles().front())), 8u + 5001 + 5);
}

TEST_F(TapNamesTest, AStrayFileIsFollowedUntilItsWriterHasLeft) {
  const auto client = bus_.Subscribe("t");
  UniqueFd writer(
      open(Path("t.in").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(AwaitFifo("t.in"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(write(writer.get(), "late\nra", 7), 7);
    EXPECT_EQ(ReceivePayloads(*client, 1),
              std::vector<std::string>{i == 0 ? "late" : "ralate"});
  }
  writer.Reset();
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"ra"});
}

TEST_F(TapNamesTest, AStrayFileLargerThanAPipeArrivesWhole) {
  const auto client = bus_.Subscribe("t");
  std::string text;
  std::vector<std::string> lines;
  for (int i = 0; i < 20000; ++i) {
    lines.push_back(fmt::format("line {}", i));
    text += lines.back() + "\n";
  }
  WriteTo(Path("new"), text);
  ASSERT_EQ(rename(Path("new").c_str(), Path("t.in").c_str()), 0);
  EXPECT_EQ(ReceivePayloads(*client, lines.size()), lines);
}

TEST_F(TapNamesTest, AStrayFileFromBeforeTheBrokerIsPublished) {
  bus_.Stop();
  WriteTo(Path("t.in"), "early\n");
  bus_.Restart();
  const auto client = bus_.Subscribe("t");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"early"});
}

TEST_F(TapNamesTest, AFifoThatTakesTheNameOfAnotherIsTheTap) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  ASSERT_TRUE(AwaitTaps(1));
  const UniqueFd old = OpenToRead("t.out/me");
  MakeFifo(Path("t.out/.new"));
  ASSERT_EQ(rename(Path("t.out/.new").c_str(), Path("t.out/me").c_str()), 0);
  EXPECT_EQ(ReadBytes(old.get(), 1), "") << "the old one has ended";
  ExpectReads("t", "t.out/me");
  // The same for the way in.
  const auto client = bus_.Subscribe("t");
  MakeFifo(Path(".new"));
  ASSERT_EQ(rename(Path(".new").c_str(), Path("t.in").c_str()), 0);
  Echo("t", "in\n");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"in"});
}

TEST_F(TapNamesTest, WhatWaitsInAFifoThatIsRemovedIsReadAndCounted) {
  MakeTopic("t");
  Echo("t", "one\ntwo\n");
  ASSERT_EQ(unlink(Path("t.in").c_str()), 0);
  EXPECT_TRUE(
      WaitUntil([&] { return bus_.Count("messages_no_subscriber") == 2; }));
}

TEST_F(TapNamesTest, ARenamedFolderIsAnotherLevelOfTopics) {
  MakeTopic("a/x");
  MakeFifo(Path("a/x.out/me"));
  ASSERT_TRUE(AwaitTaps(1));
  const auto before = bus_.Subscribe("a/x");
  const auto after = bus_.Subscribe("b/x");
  ASSERT_EQ(rename(Path("a").c_str(), Path("b").c_str()), 0);
  EXPECT_TRUE(WaitUntil([&] {
    const pb::StatsReply stats = bus_.broker().CollectStats();
    return stats.taps_size() == 1 && stats.taps(0).name() == "b/x.out/me";
  }));
  for (int i = 0; i < 10; ++i) Echo("b/x", "line\n");
  EXPECT_EQ(ReceivePayloads(*after, 10), std::vector<std::string>(10, "line"));
  ExpectReads("b/x", "b/x.out/me");
  EXPECT_EQ(before->Receive(absl::InfinitePast()).outcome,
            ReceiveOutcome::kTimedOut);
}

TEST_F(TapNamesTest, LinesWaitInAFifoThatGetsAnotherName) {
  MakeTopic("a/x");
  Echo("a/x", "waits\n");
  ASSERT_EQ(rename(Path("a").c_str(), Path("b").c_str()), 0);
  const auto client = bus_.Subscribe("b/x");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"waits"});
}

TEST_F(TapNamesTest, ARenamedOutFolderIsAnotherTopics) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  ASSERT_TRUE(AwaitTaps(1));
  ASSERT_EQ(rename(Path("t.out").c_str(), Path("u.out").c_str()), 0);
  ASSERT_TRUE(AwaitFifo("u.in"));
  ExpectReads("u", "u.out/me");
  EXPECT_TRUE(WaitUntil([&] { return fs::is_directory(Path("t.out")); }))
      << "for t.in is still there";
}

TEST_F(TapNamesTest, FoldersThatSwapTheirNamesSwapTheirTopics) {
  MakeTopic("a/x");
  MakeTopic("b/y");
  ASSERT_EQ(renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("b").c_str(),
                      RENAME_EXCHANGE),
            0);
  const auto client = bus_.Subscribe("**");
  ASSERT_TRUE(AwaitFifo("b/x.in"));
  Echo("b/x", "x\n");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"x"});
  Echo("a/y", "y\n");
  const Received got = client->Receive(absl::Now() + kHang);
  EXPECT_EQ(got.message.topic, "a/y");
}

TEST_F(TapNamesTest, TheFolderTopicsItselfIsMadeAnew) {
  MakeTopic("t");
  for (const char* to : {"/elsewhere", ""}) {
    if (*to != '\0') {
      ASSERT_EQ(
          rename((bus_.dir() + "/topics").c_str(), (bus_.dir() + to).c_str()),
          0);
    } else {
      fs::remove_all(bus_.dir() + "/topics");
    }
    EXPECT_TRUE(WaitUntil([&] { return fs::is_directory(Path("")); }));
    MakeTopic("u");
    const auto client = bus_.Subscribe("u");
    Echo("u", "x\n");
    EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"x"});
  }
}

TEST_F(TapNamesTest, ATopicsNamesAreRemovedTogetherAndMadeTogether) {
  MakeTopic("t");
  ASSERT_EQ(unlink(Path("t.in").c_str()), 0);
  EXPECT_TRUE(AwaitFifo("t.in")) << "for t.out is still there";
  fs::remove_all(Path("t.out"));
  EXPECT_TRUE(WaitUntil([&] { return fs::is_directory(Path("t.out")); }))
      << "for t.in is still there";
  MakeTopic("other");
  ASSERT_EQ(unlink(Path("t.in").c_str()), 0);
  fs::remove_all(Path("t.out"));
  // What would come back has come back by then.
  ASSERT_EQ(unlink(Path("other.in").c_str()), 0);
  EXPECT_TRUE(AwaitFifo("other.in"));
  EXPECT_FALSE(fs::exists(Path("t.in")));
  EXPECT_FALSE(fs::exists(Path("t.out")));
}

TEST_F(TapNamesTest, ASecondNameIsRefusedUntilItGoes) {
  MakeTopic("t");
  MakeFifo(bus_.dir() + "/fifo");
  ASSERT_EQ(link((bus_.dir() + "/fifo").c_str(), Path("t.out/me").c_str()), 0);
  EXPECT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") == 1; }));
  ASSERT_EQ(unlink((bus_.dir() + "/fifo").c_str()), 0);
  EXPECT_TRUE(AwaitTaps(1));
}

// No descriptor is left for this process, as long as this lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit limit = before_;
    limit.rlim_cur = 256;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (true) {
      UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd.valid()) return;
      held_.push_back(std::move(fd));
    }
  }
  ~NoDescriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_;
  std::vector<UniqueFd> held_;
};

TEST_F(TapNamesTest, WhatFoundNoDescriptorIsATapWhenThereAreSomeAgain) {
  MakeTopic("t");
  {
    const NoDescriptors none;
    MakeFifo(Path("t.out/me"));
    MakeFifo(Path("u.in"));
    ASSERT_EQ(mkdir(Path("v.out").c_str(), 0700), 0);
    ASSERT_EQ(mkdir(Path("w").c_str(), 0700), 0);
    EXPECT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") >= 4; }));
  }
  ExpectReads("t", "t.out/me");
  const auto client = bus_.Subscribe("**");
  ASSERT_TRUE(AwaitFifo("v.in"));
  for (const std::string topic : {"u", "v"}) {
    Echo(topic, topic + "\n");
    EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{topic});
  }
  MakeTopic("w/x");
}

}  // namespace
}  // namespace fifobus
