#include "broker/io/ingress_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

// Takes records of "LENGTH(4 digits)BYTES", as a frame decoder would: what is
// not whole is left for the next chunk.
class RecordFeed : public Feed {
 public:
  static constexpr size_t kPrefix = 8;

  Admission Admit(size_t unread_bytes, size_t) override {
    ++asked;
    return unread_bytes > 0 && open ? Admission::kRead : Admission::kRest;
  }
  FeedResult OnBytes(const ChunkRef&, std::string_view bytes) override {
    ++chunks;
    FeedResult result;
    while (true) {
      const std::string_view rest = bytes.substr(result.bytes_taken);
      size_t size = kPrefix;
      if (rest.size() >= kPrefix) {
        size += std::stoul(std::string(rest.substr(0, kPrefix)));
      }
      if (rest.size() < size) {
        result.bytes_wanted = size;
        break;
      }
      taken.append(rest.substr(kPrefix, size - kPrefix));
      ++records;
      result.bytes_taken += size;
      if (on_record) on_record();
    }
    if (close) result.outcome = FeedOutcome::kClose;
    return result;
  }
  FeedOutcome OnHangUp(std::string_view rest) override {
    rest_at_hang_up = std::string(rest);
    ++hang_ups;
    return stay ? FeedOutcome::kContinue : FeedOutcome::kClose;
  }
  void OnHalfReceivedLimit() override { limit_reached = true; }

  std::atomic<bool> open{true};
  bool close = false;
  bool stay = false;
  std::function<void()> on_record;
  std::atomic<int> asked{0};
  std::atomic<int> chunks{0};
  std::atomic<int> records{0};
  std::atomic<int> hang_ups{0};
  std::atomic<bool> limit_reached{false};
  std::string taken;
  std::string rest_at_hang_up;
};

std::string Record(const std::string& bytes) {
  char prefix[9];
  snprintf(prefix, sizeof(prefix), "%08zu", bytes.size());
  return prefix + bytes;
}

// Bytes of which no stretch looks like another.
std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

void WriteAll(int fd, std::string_view bytes) {
  ASSERT_EQ(fcntl(fd, F_SETFL, 0), 0) << "writes wait";
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    ASSERT_GT(written, 0);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

class IngressPipeTest : public testing::Test {
 protected:
  ~IngressPipeTest() override {
    test_.Do([&] {
      if (pipe_) pipe_->Close();
    });
    pipe_.reset();
    // What holds the pipe may still be posted.
    test_.Do([] {});
  }

  void Open(PipeEnds ends, IngressPipe::Gate gate = IngressPipe::Gate::kOpen) {
    writing_ = std::move(ends.writing);
    test_.Do([&] {
      auto pipe = IngressPipe::Open(
          test_.worker(), std::move(ends.reading), gate, feed_, half_received_,
          growth_ ? &*growth_ : nullptr, options_, [this] { closed_ = true; });
      ASSERT_TRUE(pipe.ok()) << pipe.status();
      pipe_ = *std::move(pipe);
    });
  }
  bool AwaitRecords(int count) {
    return WaitUntil([&] { return feed_.records == count; });
  }
  size_t Unread() {
    // The writing end may be asked too.
    return UnreadBytes(writing_.get());
  }
  // For what must not happen there is nothing to wait for; after some rounds of
  // the loop it would have.
  void SomeRounds() {
    for (int i = 0; i < 10; ++i) test_.Do([] {});
  }

  BrokerOptions options_;
  std::optional<PipeGrowth> growth_;  // none: pipes keep their size
  TestWorker test_;
  RecordFeed feed_;
  HalfReceived half_received_{size_t{64} << 20};
  UniqueFd writing_;
  std::shared_ptr<IngressPipe> pipe_;
  std::atomic<bool> closed_{false};
};

TEST_F(IngressPipeTest, WhatWasInThePipeBeforeItWasOpenedIsRead) {
  PipeEnds ends = MakePipe();
  const std::string record = Record("early");
  ASSERT_EQ(write(ends.writing.get(), record.data(), record.size()),
            static_cast<ssize_t>(record.size()));
  Open(std::move(ends));
  EXPECT_TRUE(AwaitRecords(1));
  test_.Do([&] { EXPECT_EQ(feed_.taken, "early"); });
}

TEST_F(IngressPipeTest, ARecordInPiecesIsPutTogether) {
  Open(MakePipe());
  const std::string record = Record("hello");
  int chunks = 0;
  for (const char& byte : record) {
    ASSERT_EQ(write(writing_.get(), &byte, 1), 1);
    ++chunks;
    ASSERT_TRUE(WaitUntil([&] { return feed_.chunks == chunks; }));
    const bool whole = &byte == &record.back();
    EXPECT_TRUE(WaitUntil([&] {
      return half_received_.bytes() ==
             (whole ? 0 : static_cast<size_t>(&byte - record.data() + 1));
    }));
  }
  test_.Do([&] { EXPECT_EQ(feed_.taken, "hello"); });
}

TEST_F(IngressPipeTest, ARecordOf16MiBPassesAOnePagePipe) {
  Open(MakeOnePagePipe());
  const std::string large = Pattern((size_t{16} << 20) - 1024);
  const std::string small = Pattern(100);
  const std::string all = Record(large) + Record(small);
  std::thread writer([&] { WriteAll(writing_.get(), all); });
  EXPECT_TRUE(AwaitRecords(2));
  writer.join();
  test_.Do([&] { EXPECT_TRUE(feed_.taken == large + small); });
  EXPECT_EQ(half_received_.bytes(), 0u);
}

TEST_F(IngressPipeTest, SizesAroundPagesAndChunksArriveInTheirOrder) {
  Open(MakePipe());
  std::string expected;
  std::string all;
  int records = 0;
  for (const size_t size : {0, 1, 4087, 4088, 4089, 65535, 65536, 262135,
                            262136, 262137, 1000000, 0, 3}) {
    const std::string bytes = Pattern(size);
    expected += bytes;
    all += Record(bytes);
    ++records;
  }
  std::thread writer([&] { WriteAll(writing_.get(), all); });
  EXPECT_TRUE(AwaitRecords(records));
  writer.join();
  test_.Do([&] { EXPECT_TRUE(feed_.taken == expected); });
}

TEST_F(IngressPipeTest, ChunksAreSmallerWhereSubscribersPipesCannotGrow) {
  options_.chunk_bytes = size_t{256} << 10;
  options_.crowded_chunk_bytes = size_t{64} << 10;
  growth_.emplace(options_, /*bytes_max=*/0);
  PipeEnds ends = MakePipe();
  TrySetPipeBytes(ends.writing.get(), size_t{256} << 10);
  if (PipeBytes(ends.writing.get()) < size_t{256} << 10) {
    GTEST_SKIP() << "this user's pipes are at their limit";
  }
  const std::string record = Record(Pattern(1000));
  std::string all;
  while (all.size() + record.size() < size_t{200} << 10) all += record;
  WriteAll(ends.writing.get(), all);
  Open(std::move(ends));
  EXPECT_TRUE(AwaitRecords(static_cast<int>(all.size() / record.size())));
  EXPECT_GE(feed_.chunks, 4) << "of 64 KiB";
}

TEST_F(IngressPipeTest, APauseIsObeyedUntilAsManyResumes) {
  Open(MakePipe());
  test_.Do([] {});
  pipe_->Pause();
  pipe_->Pause();
  const std::string record = Record("x");
  WriteAll(writing_.get(), record);
  pipe_->Resume();
  SomeRounds();
  EXPECT_EQ(feed_.records, 0);
  EXPECT_EQ(Unread(), record.size());
  pipe_->Resume();
  EXPECT_TRUE(AwaitRecords(1));
}

TEST_F(IngressPipeTest, AFeedThatPausesItsOwnValveGetsOneChunkAtATime) {
  Open(MakePipe());
  feed_.on_record = [&] { pipe_->Pause(); };
  WriteAll(writing_.get(), Record("one"));
  EXPECT_TRUE(AwaitRecords(1));
  WriteAll(writing_.get(), Record("two"));
  SomeRounds();
  EXPECT_EQ(feed_.records, 1);
  pipe_->Resume();
  EXPECT_TRUE(AwaitRecords(2));
}

TEST_F(IngressPipeTest, PausesAndResumesFromAnotherThreadLoseNoWakeUp) {
  Open(MakeOnePagePipe());
  constexpr int kRecords = 3000;
  std::atomic<bool> done{false};
  std::thread valve([&] {
    while (!done) {
      pipe_->Pause();
      std::this_thread::yield();
      pipe_->Resume();
    }
  });
  const std::string record = Record(Pattern(200));
  for (int i = 0; i < kRecords; ++i) WriteAll(writing_.get(), record);
  EXPECT_TRUE(AwaitRecords(kRecords));
  done = true;
  valve.join();
}

TEST_F(IngressPipeTest, AWriterInPacketModeNeedNotWriteAgainToBeRead) {
  // Each read brings one packet only, however short: pipe(2), O_DIRECT.
  Open(MakePipe());
  ASSERT_EQ(fcntl(writing_.get(), F_SETFL, O_DIRECT), 0);
  int written = 0;
  for (int burst = 1; burst <= 10; ++burst) {
    for (int i = 0; i < burst; ++i) {
      const std::string record = Record(Pattern(100));
      ASSERT_EQ(write(writing_.get(), record.data(), record.size()),
                static_cast<ssize_t>(record.size()));
      ++written;
    }
    EXPECT_TRUE(AwaitRecords(written)) << "of a burst of " << burst;
  }
}

TEST_F(IngressPipeTest, QuickSmallWritesArriveInTheirOrder) {
  // The publisher is ahead of the worker now and then: some are gathered.
  Open(MakePipe());
  std::string all;
  constexpr int kRecords = 20000;
  for (int i = 0; i < kRecords; ++i) {
    const std::string bytes = std::to_string(i) + ",";
    WriteAll(writing_.get(), Record(bytes));
    all += bytes;
  }
  EXPECT_TRUE(AwaitRecords(kRecords));
  test_.Do([&] { EXPECT_TRUE(feed_.taken == all); });
}

TEST_F(IngressPipeTest, APausedPipeDoesNotKeepTheWorkerAwake) {
  Open(MakePipe());
  WriteAll(writing_.get(), Record("first"));
  EXPECT_TRUE(AwaitRecords(1));
  test_.Do([&] { pipe_->Pause(); });
  WriteAll(writing_.get(), Record("waits"));
  SomeRounds();
  uint64_t rounds = test_.Rounds();
  SomeRounds();
  EXPECT_LE(test_.Rounds(), rounds + 11) << "one round for each task";
  writing_.Reset();  // a hang-up, which is level state too
  SomeRounds();
  rounds = test_.Rounds();
  SomeRounds();
  EXPECT_LE(test_.Rounds(), rounds + 11) << "one round for each task";
  EXPECT_EQ(feed_.records, 1);
  pipe_->Resume();
  EXPECT_TRUE(WaitUntil([&] { return closed_.load(); }));
  EXPECT_EQ(feed_.records, 2);
}

TEST_F(IngressPipeTest, HangUpComesAfterTheLastByteAndOnce) {
  Open(MakePipe());
  WriteAll(writing_.get(), Record("whole") + Record("torn").substr(0, 10));
  writing_.Reset();
  EXPECT_TRUE(WaitUntil([&] { return closed_.load(); }));
  EXPECT_EQ(feed_.hang_ups, 1);
  EXPECT_EQ(feed_.records, 1);
  test_.Do([&] { EXPECT_EQ(feed_.rest_at_hang_up, "00000004to"); });
  EXPECT_EQ(half_received_.bytes(), 0u);
}

TEST_F(IngressPipeTest, WhoStaysAfterAHangUpDoesNotSpin) {
  feed_.stay = true;
  const TempDir dir;
  const std::string path = dir.path() + "/in";
  MakeFifo(path);
  PipeEnds ends;
  ends.reading.Reset(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ends.writing.Reset(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  Open(std::move(ends));
  for (int writer = 1; writer <= 3; ++writer) {
    WriteAll(writing_.get(), Record("line"));
    EXPECT_TRUE(AwaitRecords(writer));
    const int hang_ups = feed_.hang_ups;
    writing_.Reset();
    EXPECT_TRUE(WaitUntil([&] { return feed_.hang_ups > hang_ups; }));
    const uint64_t rounds = test_.Rounds();
    SomeRounds();
    EXPECT_LE(test_.Rounds(), rounds + 11) << "one round for each task";
    // The next writer comes.
    writing_.Reset(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  }
  EXPECT_FALSE(closed_);
}

TEST_F(IngressPipeTest, AGatedPipeRestsUntilItIsNudged) {
  feed_.open = false;
  Open(MakePipe(), IngressPipe::Gate::kAsksFeed);
  const std::string record = Record("x");
  WriteAll(writing_.get(), record);
  EXPECT_TRUE(WaitUntil([&] { return feed_.asked > 0; }));
  SomeRounds();
  EXPECT_EQ(Unread(), record.size());
  feed_.open = true;
  pipe_->Nudge();
  EXPECT_TRUE(AwaitRecords(1));
}

TEST_F(IngressPipeTest, FinishReadsThroughTheGateAndClosesThoughAWriterIsLeft) {
  feed_.open = false;
  Open(MakePipe(), IngressPipe::Gate::kAsksFeed);
  WriteAll(writing_.get(), Record("one") + Record("two"));
  test_.Do([&] { pipe_->FinishAndClose(); });
  EXPECT_TRUE(WaitUntil([&] { return closed_.load(); }));
  EXPECT_EQ(feed_.records, 2);
}

TEST_F(IngressPipeTest, AFeedThatClosesIsReadNoMore) {
  feed_.close = true;
  Open(MakePipe());
  WriteAll(writing_.get(), Record("x"));
  EXPECT_TRUE(WaitUntil([&] { return closed_.load(); }));
  EXPECT_TRUE(LacksReader(writing_.get()));
}

TEST_F(IngressPipeTest, WhatExceedsTheHalfReceivedBoundIsClosed) {
  const size_t bound = half_received_.bytes() + (size_t{64} << 20);
  // Others have nearly used it up.
  (void)half_received_.Change(0, bound - 1000);
  Open(MakePipe());
  WriteAll(writing_.get(), Record(Pattern(5000)).substr(0, 2000));
  EXPECT_TRUE(WaitUntil([&] { return closed_.load(); }));
  EXPECT_TRUE(feed_.limit_reached);
  EXPECT_EQ(half_received_.bytes(), bound - 1000) << "its share is given back";
}

TEST_F(IngressPipeTest, AFloodLeavesTurnsToOthers) {
  // One round brings at most round_bytes_max; the tasks of this test run
  // between rounds although the pipe is never empty.
  Open(MakePipe());
  std::atomic<bool> done{false};
  std::thread flood([&] {
    const std::string record = Record(Pattern(60000));
    while (!done) WriteAll(writing_.get(), record);
  });
  EXPECT_TRUE(WaitUntil([&] { return feed_.records > 10; }));
  for (int i = 0; i < 100; ++i) test_.Do([&] { feed_.taken.clear(); });
  done = true;
  flood.join();
}

}  // namespace
}  // namespace fifobus
