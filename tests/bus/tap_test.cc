// The plain-text taps, through FIFOs as shells use them.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

class TapTest : public testing::Test {
 protected:
  // What `mkdir -p` would do; the broker then makes the `.in`.
  void MakeTopic(const std::string& topic) {
    std::filesystem::create_directories(Path(topic + ".out"));
    ASSERT_TRUE(WaitUntil(
        [&] { return std::filesystem::is_fifo(Path(topic + ".in")); }));
  }

  std::string Path(const std::string& name) const {
    return bus_.dir() + "/topics/" + name;
  }

  // As `echo -n TEXT > T.in` does: open, write, close.
  void Echo(const std::string& topic, const std::string& text) {
    const UniqueFd in(open(Path(topic + ".in").c_str(), O_WRONLY));
    ASSERT_TRUE(in.valid());
    ASSERT_EQ(write(in.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }

  UniqueFd OpenToRead(const std::string& name) {
    UniqueFd fd(open(Path(name).c_str(), O_RDONLY));
    EXPECT_TRUE(fd.valid());
    return fd;
  }

  TestBus bus_;
};

TEST_F(TapTest, ALineWrittenIsAMessageForSessions) {
  MakeTopic("greetings");
  const auto client = bus_.Subscribe("greetings");
  Echo("greetings", "Hello World!\n");
  EXPECT_EQ(ReceivePayloads(*client, 1),
            std::vector<std::string>{"Hello World!"});
}

TEST_F(TapTest, AnUnterminatedLineIsAMessageAtHangUp) {
  MakeTopic("a");
  const auto client = bus_.Subscribe("a");
  Echo("a", "no newline");
  EXPECT_EQ(ReceivePayloads(*client, 1),
            std::vector<std::string>{"no newline"});
}

TEST_F(TapTest, AFifoInOutReadsMessagesAsLines) {
  MakeTopic("greetings");
  MakeFifo(Path("greetings.out/me"));
  const UniqueFd me = OpenToRead("greetings.out/me");
  Echo("greetings", "Hello\n");
  EXPECT_EQ(ReadBytes(me.get(), 6), "Hello\n");
}

TEST_F(TapTest, AFifoMadeBeforeALineWasWrittenGetsIt) {
  MakeTopic("t");
  const auto other = bus_.Subscribe("t");  // so that nothing waits in the pipe
  for (int i = 0; i < 50; ++i) {
    const std::string name = fmt::format("t.out/r{}", i);
    MakeFifo(Path(name));
    Echo("t", "x\n");
    const UniqueFd reader = OpenToRead(name);
    ASSERT_EQ(ReadBytes(reader.get(), 2), "x\n") << i;
  }
}

TEST_F(TapTest, LinesWaitInThePipeForTheFirstSubscriber) {
  MakeTopic("t");
  Echo("t", "one\n");
  Echo("t", "two\n");
  const auto client = bus_.Subscribe("t");
  EXPECT_EQ(ReceivePayloads(*client, 2),
            (std::vector<std::string>{"one", "two"}));
}

TEST_F(TapTest, UnterminatedLinesOfSeveralWritersStayApart) {
  MakeTopic("t");
  for (const char* text : {"a", "b", "c\nd"}) {
    Echo("t", text);
    // The broker tells them apart if it has seen the first leave.
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(bus_.broker().SetTopicRules({}).ok());
  }
  const auto client = bus_.Subscribe("t");
  EXPECT_EQ(ReceivePayloads(*client, 4),
            (std::vector<std::string>{"a", "b", "c", "d"}));
}

TEST_F(TapTest, LinesWaitForAFifoToo) {
  MakeTopic("t");
  Echo("t", "one\n");
  MakeFifo(Path("t.out/me"));
  const UniqueFd me = OpenToRead("t.out/me");
  EXPECT_EQ(ReadBytes(me.get(), 4), "one\n");
}

TEST_F(TapTest, WithoutASubscriberWritersNeverBlock) {
  MakeTopic("t");
  const std::string line(1023, 'x');
  const UniqueFd in(open(Path("t.in").c_str(), O_WRONLY));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(write(in.get(), (line + "\n").data(), 1024), 1024);
  }
  EXPECT_TRUE(
      WaitUntil([&] { return bus_.Count("messages_no_subscriber") > 900; }));
}

TEST_F(TapTest, SessionsReachTapsInAllFormats) {
  MakeTopic("a/b");
  for (const char* name :
       {"a/b.out/text", "a/b.out/x.json", "a/b.out/x.frames"}) {
    MakeFifo(Path(name));
  }
  const UniqueFd text = OpenToRead("a/b.out/text");
  const UniqueFd json = OpenToRead("a/b.out/x.json");
  const UniqueFd frames = OpenToRead("a/b.out/x.frames");
  const auto publisher = bus_.Connect();
  ASSERT_TRUE(
      WaitUntil([&] { return bus_.broker().CollectStats().taps_size() == 3; }));
  ASSERT_EQ(publisher->Publish("a/b", "Hi"), PublishOutcome::kSent);
  EXPECT_EQ(ReadBytes(text.get(), 3), "Hi\n");
  const std::string line = "{\"topic\":\"a/b\",\"payload\":\"Hi\"}\n";
  EXPECT_EQ(ReadBytes(json.get(), line.size()), line);
  MessageFields fields;
  fields.topic = "a/b";
  fields.payload = "Hi";
  std::string frame;
  AppendMessageFrame(fields, frame);
  EXPECT_EQ(ReadBytes(frames.get(), frame.size()), frame);
}

TEST_F(TapTest, WhileNobodyReadsTheNewestMessagesAreKept) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  {
    const UniqueFd me = OpenToRead("t.out/me");
    Echo("t", "seen\n");
    EXPECT_EQ(ReadBytes(me.get(), 5), "seen\n");
  }
  // More than the tap's queue and the pipe hold; nobody is paused for long.
  const auto publisher = bus_.Connect();
  const std::string payload(1000, 'x');
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(publisher->Publish("t", payload), PublishOutcome::kSent);
  }
  ASSERT_EQ(publisher->Publish("t", "newest"), PublishOutcome::kSent);
  ASSERT_TRUE(publisher->Ping(kHang).ok());
  EXPECT_GT(bus_.Count("messages_dropped"), 0u);
  const UniqueFd me = OpenToRead("t.out/me");
  std::string all;
  while (!all.ends_with("newest\n")) {
    char bytes[65536];
    const ssize_t size = read(me.get(), bytes, sizeof(bytes));
    ASSERT_GT(size, 0);
    all.append(bytes, static_cast<size_t>(size));
  }
  EXPECT_TRUE(all.starts_with("xxx"));
}

TEST_F(TapTest, ReadersMayComeAndGo) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  for (int i = 0; i < 100; ++i) {
    const std::string line = fmt::format("{:04}\n", i);
    Echo("t", line);
    const UniqueFd me = OpenToRead("t.out/me");
    ASSERT_EQ(ReadBytes(me.get(), 5), line);
  }
}

TEST_F(TapTest, RemovingTheFifoEndsTheSubscription) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  const UniqueFd me = OpenToRead("t.out/me");
  ASSERT_TRUE(
      WaitUntil([&] { return bus_.broker().CollectStats().taps_size() == 1; }));
  ASSERT_EQ(unlink(Path("t.out/me").c_str()), 0);
  EXPECT_EQ(ReadBytes(me.get(), 1), "");  // the end
  EXPECT_EQ(bus_.broker().CollectStats().taps_size(), 0);
}

TEST_F(TapTest, SeveralReadersOfOneTopicEachGetAll) {
  MakeTopic("t");
  std::vector<UniqueFd> readers;
  for (int i = 0; i < 5; ++i) {
    const std::string name = fmt::format("t.out/r{}", i);
    MakeFifo(Path(name));
    readers.push_back(OpenToRead(name));
  }
  Echo("t", "one\ntwo\n");
  for (const UniqueFd& reader : readers) {
    EXPECT_EQ(ReadBytes(reader.get(), 8), "one\ntwo\n");
  }
}

TEST_F(TapTest, TapsSurviveABrokersRestart) {
  MakeTopic("deep/er/t");
  MakeFifo(Path("deep/er/t.out/me"));
  const UniqueFd me = OpenToRead("deep/er/t.out/me");
  Echo("deep/er/t", "before\n");
  EXPECT_EQ(ReadBytes(me.get(), 7), "before\n");
  bus_.Stop();
  EXPECT_EQ(ReadBytes(me.get(), 1), "");  // cat ends
  bus_.Restart();
  const UniqueFd again = OpenToRead("deep/er/t.out/me");
  Echo("deep/er/t", "after\n");
  EXPECT_EQ(ReadBytes(again.get(), 6), "after\n");
}

TEST_F(TapTest, ARegularFileInPlaceOfATapIsMovedAside) {
  {
    std::ofstream file(Path("t.in"));
    file << "precious\n";
  }
  ASSERT_TRUE(
      WaitUntil([&] { return std::filesystem::is_fifo(Path("t.in")); }));
  std::string kept;
  for (const auto& entry :
       std::filesystem::directory_iterator(bus_.dir() + "/topics")) {
    if (!entry.is_regular_file()) continue;
    EXPECT_TRUE(entry.path().string().find("t.in.aside-") != std::string::npos);
    std::getline(std::ifstream(entry.path()), kept);
  }
  EXPECT_EQ(kept, "precious");
}

TEST_F(TapTest, ALineThatIsTooLongIsRefusedAndTheNextIsNot) {
  MakeTopic("t");
  const auto client = bus_.Subscribe("t");
  Echo("t", std::string(10000, 'x') + "\n");
  Echo("t", "good\n");
  EXPECT_EQ(ReceivePayloads(*client, 1), std::vector<std::string>{"good"});
  EXPECT_EQ(bus_.Count("lines_refused"), 1u);
}

TEST_F(TapTest, NamesThatAreNoTopicsAreRefusedAndHarmless) {
  std::filesystem::create_directories(Path("bad name.out"));
  std::filesystem::create_directories(Path("$sys.out"));
  MakeFifo(Path("$sys.in"));
  EXPECT_TRUE(WaitUntil([&] { return bus_.Count("names_refused") >= 1; }));
  MakeTopic("good");
}

TEST_F(TapTest, ASlowReaderLosesNothing) {
  MakeTopic("t");
  MakeFifo(Path("t.out/me"));
  const UniqueFd me = OpenToRead("t.out/me");
  const auto publisher = bus_.Connect();
  ASSERT_TRUE(
      WaitUntil([&] { return bus_.broker().CollectStats().taps_size() == 1; }));
  // Half of what queue and pipe hold.
  const std::string payload(999, 'x');
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(publisher->Publish("t", payload), PublishOutcome::kSent);
  }
  EXPECT_EQ(ReadBytes(me.get(), 500 * 1000).size(), 500u * 1000);
  EXPECT_EQ(bus_.Count("messages_dropped"), 0u);
}

TEST_F(TapTest, RealShellsCanDoItAll) {
  MakeTopic("greetings");
  const std::string script = fmt::format(
      "set -e; cd {0}; mkfifo greetings.out/me; "
      "(head -n 2 greetings.out/me > {0}/result) & "
      "echo 'Hello World!' > greetings.in; "
      "printf 'second' > greetings.in; wait",
      bus_.dir() + "/topics");
  ASSERT_EQ(system(script.c_str()), 0);
  std::ifstream result(Path("result"));
  std::string first;
  std::string second;
  std::getline(result, first);
  std::getline(result, second);
  EXPECT_EQ(first, "Hello World!");
  EXPECT_EQ(second, "second");
}

}  // namespace
}  // namespace fifobus
