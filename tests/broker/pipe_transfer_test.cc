#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "broker/io/ingress_pipe.h"
#include "broker/io/rest_buffer.h"
#include "broker/state/delivery_state.pb.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"
#include "tests/support/state_carrier.h"

namespace fifobus {
namespace {

constexpr size_t kChunkBytes = size_t{64} << 10;

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 >> 3);
  return bytes;
}

TEST(RestBufferTransferTest, ASmallRestGoesToTheFrontOfTheNextRead) {
  RestBuffer buffer(kChunkBytes);
  buffer.Keep("begun", 0);
  StateCarrier carrier;
  const auto state = carrier.Carry(buffer.Export(carrier.old_chunks));
  RestBuffer restored(kChunkBytes);
  restored.Restore(state, carrier.new_chunks);
  EXPECT_FALSE(restored.is_assembling());
  EXPECT_EQ(restored.rest(), "begun");
}

TEST(RestBufferTransferTest, AnAssemblyGrowsOnToTheEndOfItsFrame) {
  const std::string frame = Pattern(size_t{16} << 20);
  auto buffer = std::make_unique<RestBuffer>(kChunkBytes);
  buffer->Keep(std::string_view(frame).substr(0, 100'000), frame.size());
  while (buffer->bytes() < frame.size() - 1) {
    StateCarrier carrier;
    const auto state = carrier.Carry(buffer->Export(carrier.old_chunks));
    buffer = std::make_unique<RestBuffer>(kChunkBytes);
    buffer->Restore(state, carrier.new_chunks);
    ASSERT_TRUE(buffer->is_assembling());
    ASSERT_EQ(buffer->wanted_bytes(), frame.size());
    const size_t before = buffer->bytes();
    const ChunkRef chunk = buffer->Assembly();
    const size_t more =
        std::min(chunk->capacity() - before, frame.size() - 1 - before);
    ASSERT_GT(more, 0u);
    std::memcpy(chunk->bytes() + before, frame.data() + before, more);
    buffer->Keep({chunk->bytes(), before + more}, frame.size());
  }
  EXPECT_TRUE(buffer->rest() == frame.substr(0, frame.size() - 1));
}

TEST(PipeGrowthTransferTest, APipeThatHasGrownTakesItsShareOfTheBudgetAgain) {
  const BrokerOptions options;
  PipeGrowth growth(options, 2 * options.ingress_pipe_bytes);
  GrowingPipe pipe(&growth, PipeUse::kIngress);
  pipe.TakeOver(options.ingress_pipe_bytes);
  EXPECT_EQ(pipe.taken_bytes(), options.ingress_pipe_bytes);
  GrowingPipe other(&growth, PipeUse::kIngress);
  other.TakeOver(2 * options.ingress_pipe_bytes);
  EXPECT_EQ(other.taken_bytes(), options.ingress_pipe_bytes);
  EXPECT_EQ(growth.Take(1, 0), PipeGrowth::Grant::kTooLittleLeft);
  pipe.GiveBack();
  other.GiveBack();
  EXPECT_EQ(growth.Take(2 * options.ingress_pipe_bytes, 2),
            PipeGrowth::Grant::kTooLittleLeft);
  EXPECT_EQ(growth.Take(options.ingress_pipe_bytes, 0),
            PipeGrowth::Grant::kGranted);
}

// Takes lines.
class LineFeed : public Feed {
 public:
  FeedResult OnBytes(const ChunkRef&, std::string_view bytes) override {
    FeedResult result;
    if (bytes.starts_with('L') && bytes.size() < kLongLine) {
      result.bytes_wanted = kLongLine;  // which it knows, as of a frame
      return result;
    }
    result.bytes_taken = bytes.rfind('\n') + 1;  // npos + 1 is 0
    taken.append(bytes.substr(0, result.bytes_taken));
    taken_bytes = taken.size();
    return result;
  }
  FeedOutcome OnHangUp(std::string_view rest) override {
    rest_at_hang_up = std::string(rest);
    ++hang_ups;
    return FeedOutcome::kClose;
  }
  void OnHalfReceivedLimit() override { limit_reached = true; }

  static constexpr size_t kLongLine = size_t{16} << 20;

  std::string taken;
  std::atomic<size_t> taken_bytes = 0;
  std::string rest_at_hang_up;
  std::atomic<int> hang_ups = 0;
  std::atomic<bool> limit_reached = false;
};

// One broker's side of a pipe, with a worker of its own.
struct Reader {
  explicit Reader(size_t half_received_bytes_max)
      : half_received(half_received_bytes_max) {}
  ~Reader() {
    test.Do([&] {
      if (pipe) pipe->Close();
    });
    pipe.reset();
    test.Do([] {});
  }

  void Open(int fd, const std::function<void(IngressPipe&)>& restore) {
    test.Do([&] {
      auto opened = IngressPipe::Open(test.worker(), UniqueFd(fd),
                                      IngressPipe::Gate::kOpen, feed,
                                      half_received, &growth, options, [] {});
      ASSERT_TRUE(opened.ok()) << opened.status();
      pipe = *std::move(opened);
      restore(*pipe);
    });
  }

  BrokerOptions options;
  HalfReceived half_received;
  PipeGrowth growth{options, size_t{1} << 20};
  LineFeed feed;
  TestWorker test;
  std::shared_ptr<IngressPipe> pipe;
};

class IngressTransferTest : public testing::Test {
 protected:
  IngressTransferTest() {
    PipeEnds ends = MakePipe();
    writing_ = std::move(ends.writing);
    reader_ = std::make_unique<Reader>(half_received_bytes_max_);
    reader_->Open(ends.reading.Release(), [](IngressPipe&) {});
  }

  void Write(std::string_view bytes) {
    ASSERT_EQ(fcntl(writing_.get(), F_SETFL, flags_), 0);
    while (!bytes.empty()) {
      const ssize_t written = write(writing_.get(), bytes.data(), bytes.size());
      ASSERT_GT(written, 0);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }

  bool AwaitHalf(size_t bytes) {
    return WaitUntil([&] { return reader_->half_received.bytes() == bytes; });
  }

  // The next broker reads now.
  void Upgrade(const std::function<void()>& meanwhile = [] {}) {
    auto next = std::make_unique<Reader>(half_received_bytes_max_);
    StateCarrier carrier;
    pb::state::IngressPipe state;
    int fd = -1;
    reader_->test.Do([&] {
      state = carrier.Carry(reader_->pipe->Export(carrier.old_chunks));
      fd = dup(state.pipe_fd());  // execve would keep the descriptor itself
      meanwhile();
    });
    taken_ += reader_->feed.taken;
    reader_ = std::move(next);
    reader_->Open(fd, [&](IngressPipe& pipe) {
      pipe.Restore(state, carrier.new_chunks);
    });
  }

  std::string Taken() { return taken_ + reader_->feed.taken; }
  bool AwaitTaken(size_t bytes) {
    return WaitUntil([&] {
      return taken_.size() + reader_->feed.taken_bytes.load() == bytes;
    });
  }

  size_t half_received_bytes_max_ = size_t{1} << 30;
  int flags_ = 0;
  UniqueFd writing_;
  std::string taken_;
  std::unique_ptr<Reader> reader_;
};

TEST_F(IngressTransferTest, WhatWasReadAndWhatWasNotAreOneStream) {
  Write("one\ntw");
  ASSERT_TRUE(AwaitHalf(2));
  Upgrade();
  EXPECT_EQ(reader_->half_received.bytes(), 2u);
  Write("o\nthree\n");
  ASSERT_TRUE(AwaitTaken(14));
  EXPECT_EQ(Taken(), "one\ntwo\nthree\n");
}

TEST_F(IngressTransferTest, AHalfFrameOf16MiBIsCompletedAcrossUpgrades) {
  std::string line = "L" + Pattern(LineFeed::kLongLine - 2);
  std::replace(line.begin(), line.end(), '\n', '.');
  line += '\n';
  size_t written = 0;
  for (const size_t upto : {size_t{5}, size_t{30'000}, line.size() / 3,
                            line.size() / 2, line.size() - 1}) {
    Write(std::string_view(line).substr(written, upto - written));
    written = upto;
    ASSERT_TRUE(AwaitHalf(upto));
    Upgrade();
  }
  Write("\n");
  ASSERT_TRUE(AwaitTaken(line.size()));
  EXPECT_TRUE(Taken() == line);
  EXPECT_EQ(reader_->half_received.bytes(), 0u);
}

TEST_F(IngressTransferTest, APipeInPacketModeLosesNothing) {
  flags_ = O_DIRECT;
  std::string lines;
  for (int i = 0; i < 200; ++i) {
    const std::string line = "line " + std::to_string(i);
    const bool upgrades = i % 20 == 7;
    if (upgrades) {
      ASSERT_TRUE(AwaitTaken(lines.size()));
    }
    Write(line);
    if (upgrades) {
      ASSERT_TRUE(AwaitHalf(line.size()));
      Upgrade();
    }
    Write("\n");
    lines += line + "\n";
  }
  ASSERT_TRUE(AwaitTaken(lines.size()));
  EXPECT_EQ(Taken(), lines);
}

TEST_F(IngressTransferTest, AWriterThatLeftMeanwhileIsNoticed) {
  Write("one\ntorn");
  ASSERT_TRUE(AwaitHalf(4));
  Upgrade([&] { writing_.Reset(); });
  ASSERT_TRUE(WaitUntil([&] { return reader_->feed.hang_ups == 1; }));
  EXPECT_EQ(reader_->feed.rest_at_hang_up, "torn");
  EXPECT_TRUE(WaitUntil([&] { return reader_->half_received.bytes() == 0; }));
}

TEST_F(IngressTransferTest, OneThatIsFinishingFinishes) {
  Write("begun");
  ASSERT_TRUE(AwaitHalf(5));
  StateCarrier carrier;
  pb::state::IngressPipe state;
  reader_->test.Do([&] {
    state = carrier.Carry(reader_->pipe->Export(carrier.old_chunks));
  });
  state.set_finishing(true);
  Reader next(half_received_bytes_max_);
  next.Open(dup(state.pipe_fd()), [&](IngressPipe& pipe) {
    pipe.Restore(state, carrier.new_chunks);
  });
  // Though it has a writer.
  ASSERT_TRUE(WaitUntil([&] { return next.feed.hang_ups == 1; }));
  EXPECT_EQ(next.feed.rest_at_hang_up, "begun");
}

}  // namespace
}  // namespace fifobus
