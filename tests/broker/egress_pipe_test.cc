#include "broker/io/egress_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "broker/io/fifo.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class Observer : public SinkObserver {
 public:
  explicit Observer(std::function<void()> on_writable = nullptr)
      : on_writable_(std::move(on_writable)) {}
  void OnWritable() override {
    ++writable;
    if (on_writable_) on_writable_();
  }
  void OnStallTimeout() override { ++stalls; }

  std::atomic<int> writable{0};
  std::atomic<int> stalls{0};

 private:
  const std::function<void()> on_writable_;
};

class EgressPipeTest : public testing::Test {
 protected:
  ~EgressPipeTest() override { Close(); }

  void Open(PipeEnds ends, std::function<void()> on_writable = nullptr,
            absl::Duration stall_timeout = absl::Seconds(1),
            PipeGrowth* growth = nullptr) {
    reading_ = std::move(ends.reading);
    observer_ = std::make_shared<Observer>(std::move(on_writable));
    BrokerOptions options;
    options.stall_timeout = stall_timeout;
    pipe_ = EgressPipe::Make(test_.worker(), std::move(ends.writing), options,
                             growth);
    test_.Do([&] {
      const absl::Status status =
          pipe_->Open(observer_, [this] { ++no_reader_; });
      ASSERT_TRUE(status.ok()) << status;
    });
  }
  void Close() {
    if (pipe_) test_.Do([&] { pipe_->Close(); });
    test_.Do([] {});
  }

  TestWorker test_;
  UniqueFd reading_;
  std::shared_ptr<Observer> observer_;
  std::shared_ptr<EgressPipe> pipe_;
  std::atomic<int> no_reader_{0};
};

// A text of which every place is known.
std::string Numbers(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text.substr(0, size);
}

TEST_F(EgressPipeTest, WritesSlicesInTheirOrder) {
  Open(MakePipe());
  const std::string a = "Hello ";
  const std::string b = "World";
  const std::string c = "!";
  const std::vector<Slice> slices = {
      {a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  const SinkResult result = pipe_->Write(slices, nullptr);
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(result.bytes_taken, 12u);
  EXPECT_EQ(ReadBytes(reading_.get(), 12), "Hello World!");
}

TEST_F(EgressPipeTest, MoreSlicesThanOneCallTakesAreWritten) {
  Open(MakePipe());
  const std::string text = Numbers(3000);
  std::vector<Slice> slices;
  for (const char& byte : text) slices.push_back({&byte, 1});
  EXPECT_EQ(pipe_->Write(slices, nullptr).outcome, SinkOutcome::kAll);
  EXPECT_EQ(ReadBytes(reading_.get(), text.size()), text);
}

TEST_F(EgressPipeTest, APartialWriteGoesOnWhereItStoppedWhenThereIsRoom) {
  const std::string text = Numbers(1000000);
  std::atomic<size_t> written{0};
  const auto write_on = [&] {
    // In slices of odd sizes, so that a cut falls inside of one.
    std::vector<Slice> slices;
    for (size_t at = written; at < text.size(); at += 777) {
      slices.push_back(
          {text.data() + at, std::min<size_t>(777, text.size() - at)});
    }
    const SinkResult result = pipe_->Write(slices, nullptr);
    written += result.bytes_taken;
    EXPECT_EQ(result.outcome, written == text.size()
                                  ? SinkOutcome::kAll
                                  : SinkOutcome::kWouldBlock);
  };
  Open(MakeOnePagePipe(), [&] {
    if (written > 0 && written < text.size()) write_on();
  });
  test_.Do(write_on);
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, text.size());
  EXPECT_TRUE(ReadBytes(reading_.get(), text.size()) == text);
  Close();  // what it calls lives in this function
  EXPECT_EQ(written, text.size());
}

TEST_F(EgressPipeTest, RoomIsToldWhicheverThreadFilledThePipe) {
  Open(MakeOnePagePipe());
  const std::string text = Numbers(10000);
  const Slice slice = {text.data(), text.size()};
  EXPECT_TRUE(WaitUntil([&] { return observer_->writable > 0; })) << "at first";
  for (int i = 0; i < 20; ++i) {
    const int before = observer_->writable;
    const SinkResult result = pipe_->Write({&slice, 1}, nullptr);
    ASSERT_EQ(result.outcome, SinkOutcome::kWouldBlock);
    (void)ReadBytes(reading_.get(), result.bytes_taken);
    ASSERT_TRUE(WaitUntil([&] { return observer_->writable > before; })) << i;
  }
}

TEST_F(EgressPipeTest, AReaderThatLeavesIsToldOnceWithoutSpinning) {
  Open(MakePipe());
  reading_.Reset();
  EXPECT_TRUE(WaitUntil([&] { return no_reader_ > 0; }));
  EXPECT_TRUE(pipe_->LacksReader());
  const uint64_t rounds = test_.Rounds();
  for (int i = 0; i < 10; ++i) test_.Do([] {});
  EXPECT_LE(test_.Rounds(), rounds + 11);
  EXPECT_EQ(no_reader_, 1);
  const Slice slice = {"x", 1};
  // SIGPIPE is blocked on workers, as WriteFifo requires.
  test_.Do([&] {
    const SinkResult result = pipe_->Write({&slice, 1}, nullptr);
    EXPECT_EQ(result.outcome, SinkOutcome::kNoReader);
    EXPECT_EQ(result.bytes_taken, 0u);
  });
}

TEST_F(EgressPipeTest, TheStallClockRingsOnceForEachStart) {
  Open(MakePipe(), nullptr, absl::Milliseconds(1));
  pipe_->StartStallClock();
  EXPECT_TRUE(WaitUntil([&] { return observer_->stalls == 1; }));
  pipe_->StartStallClock();
  EXPECT_TRUE(WaitUntil([&] { return observer_->stalls == 2; }));
}

TEST_F(EgressPipeTest, NothingIsToldAfterClose) {
  Open(MakePipe(), nullptr, absl::Milliseconds(1));
  pipe_->StartStallClock();
  Close();
  const int stalls = observer_->stalls;
  pipe_->StartStallClock();
  std::atomic<bool> later{false};
  test_.Do([&] {
    test_.loop().RunAfter(absl::Milliseconds(5), [&] { later = true; });
  });
  EXPECT_TRUE(WaitUntil([&] { return later.load(); }));
  EXPECT_EQ(observer_->stalls, stalls);
  EXPECT_EQ(observer_.use_count(), 1) << "it is let go";
}

}  // namespace
}  // namespace fifobus
