#include "broker/core/logs/reader_table.h"

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "gtest/gtest.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {
namespace {

LogId TestId() {
  LogId id;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    id.bytes[i] = static_cast<char>(i);
  }
  return id;
}

// The bytes of the example in LOG.md.
std::string DocumentedBytes() {
  std::ifstream file("proto/LOG.md");
  std::string line;
  while (std::getline(file, line) && line != "```hex readers") {
  }
  std::string bytes;
  while (std::getline(file, line) && line != "```") {
    std::istringstream digits(line.substr(0, line.find("  ")));
    for (std::string byte; digits >> byte;) {
      bytes += static_cast<char>(std::stoi(byte, nullptr, 16));
    }
  }
  return bytes;
}

ReaderRecord TestRecord() {
  ReaderRecord record{"billing", "orders/*", "g", 41};
  record.done_above.Add(43, 44);
  return record;
}

class ReaderTableTest : public testing::Test {
 protected:
  ReaderTableTest() {
    StartLog(LogLevel::kOff);
    options_.log_readers_write_interval = absl::ZeroDuration();
    options_.log_full_retry = absl::Milliseconds(1);
  }

  absl::Status TryLoad(uint64_t next_offset = 1000) {
    table_.reset();
    disk_.reset();
    machine_.Kill();
    disk_ = machine_.Mount();
    auto table = ReaderTable::Load(*disk_, TestId(), "orders", next_offset,
                                   options_, [this] { ++stored_; });
    if (table.ok()) table_ = *std::move(table);
    return table.status();
  }
  void Load(uint64_t next_offset = 1000) {
    const absl::Status status = TryLoad(next_offset);
    ASSERT_TRUE(status.ok()) << status;
  }
  std::shared_ptr<DurableReader> Open(const std::string& name,
                                      uint64_t start = 1) {
    return table_->Open(name, "orders/*", "", start).reader;
  }
  static void AwaitStored(const DurableReader& reader) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (!reader.stored() && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_TRUE(reader.stored());
  }

  SimulatedMachine machine_{1};
  std::unique_ptr<Disk> disk_;
  BrokerOptions options_;
  std::atomic<int> stored_{0};
  std::unique_ptr<ReaderTable> table_;
};

TEST(ReaderFile, TheExampleInTheDocumentIsWhatIsWritten) {
  const std::string bytes = EncodeReaders(TestId(), {TestRecord()}, 10);
  EXPECT_EQ(DocumentedBytes(), bytes);
  const DecodedReaders decoded = DecodeReaders(bytes, TestId());
  EXPECT_EQ(decoded.fault, HeaderFault::kNone);
  EXPECT_EQ(decoded.readers, (std::vector<ReaderRecord>{TestRecord()}));
}

TEST(ReaderFile, ABitThatTurnedIsDamage) {
  const std::string good =
      EncodeReaders(TestId(), {TestRecord(), {"a", "**", "", 1}}, 10);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(DecodeReaders(bytes, TestId()).fault, HeaderFault::kDamaged);
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(DecodeReaders(good.substr(0, size), TestId()).fault,
              HeaderFault::kDamaged);
  }
  LogId other = TestId();
  other.bytes[15] = 'x';
  EXPECT_EQ(DecodeReaders(good, other).fault, HeaderFault::kDamaged);
}

TEST(ReaderFile, OnlySoManyRangesAreKept) {
  ReaderRecord record{"a", "**", "", 1};
  for (uint64_t offset = 3; offset < 100; offset += 2) {
    record.done_above.Add(offset, offset);
  }
  const DecodedReaders decoded =
      DecodeReaders(EncodeReaders(TestId(), {record}, 2), TestId());
  ASSERT_EQ(decoded.readers.size(), 1u);
  OffsetSet kept;
  kept.Add(3, 3);
  kept.Add(5, 5);
  EXPECT_EQ(decoded.readers[0].done_above, kept);
}

TEST(ReaderFile, APowerCutLeavesTheOldOneOrTheNew) {
  const std::string before = EncodeReaders(TestId(), {{"a", "**", "", 1}}, 1);
  const std::string after = EncodeReaders(TestId(), {{"a", "**", "", 2}}, 1);
  int old_ones = 0;
  int new_ones = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    SimulatedMachine machine(seed);
    std::unique_ptr<Disk> disk = machine.Mount();
    ASSERT_TRUE(StoreReaders(*disk, before).ok());
    machine.DieAfter(machine.Draw(12));
    const bool stored = StoreReaders(*disk, after).ok() && !machine.dead();
    machine.CutPower();
    const std::string found = machine.files().at("readers");
    ASSERT_TRUE(found == after || (found == before && !stored));
    ++(found == after ? new_ones : old_ones);
  }
  EXPECT_GT(old_ones, 0);
  EXPECT_GT(new_ones, 0);
}

TEST_F(ReaderTableTest, PositionsOutliveTheBroker) {
  Load();
  Open("billing", 5)->SettleUpTo(9);
  Open("audit")->Settle(3);
  Load();
  EXPECT_EQ(table_->Find("billing")->position(), 10u);
  EXPECT_EQ(table_->Find("billing")->pattern(), "orders/*");
  EXPECT_TRUE(table_->Find("billing")->stored());
  EXPECT_EQ(table_->Find("audit")->position(), 1u);
  EXPECT_TRUE(table_->Find("audit")->done_above().Contains(3));
  EXPECT_EQ(table_->Find("none"), nullptr);
  ASSERT_EQ(table_->List().size(), 2u);
  EXPECT_EQ(table_->List()[0]->name(), "audit");
  EXPECT_EQ(table_->DoneOffset(), 0u);
}

TEST_F(ReaderTableTest, SettledInAnyOrderThePositionIsWhatIsNot) {
  Load();
  const auto reader = Open("a", 1);
  reader->Settle(3);
  reader->Settle(2);
  EXPECT_EQ(reader->position(), 1u);
  EXPECT_EQ(reader->done_above().count(), 2u);
  reader->Settle(1);
  EXPECT_EQ(reader->position(), 4u);
  EXPECT_TRUE(reader->done_above().empty());
  reader->SettleRange(6, 8);
  reader->SettleUpTo(5);
  EXPECT_EQ(reader->position(), 9u);
  reader->Settle(2);
  EXPECT_EQ(reader->position(), 9u);
}

TEST_F(ReaderTableTest, ANewReaderIsStoredAndThatIsTold) {
  Load();
  const auto reader = Open("a");
  AwaitStored(*reader);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (stored_ == 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(stored_, 1);
}

TEST_F(ReaderTableTest, WithoutRoomANewReaderIsNotStored) {
  machine_.capacity_bytes = 0;
  Load();
  const auto reader = Open("a");
  reader->SettleUpTo(7);
  table_.reset();  // gives up
  EXPECT_FALSE(reader->stored());
  machine_.capacity_bytes = UINT64_MAX;
  Load();
  EXPECT_EQ(table_->Find("a"), nullptr);
}

TEST_F(ReaderTableTest, AFailedSyncIsTriedAgainInANewFile) {
  machine_.failing_syncs = 3;
  Load();
  const auto reader = Open("a");
  AwaitStored(*reader);
  Load();
  EXPECT_NE(table_->Find("a"), nullptr);
}

TEST_F(ReaderTableTest, ADamagedFileIsPutAsideAndItsReadersAreUnknown) {
  Load();
  AwaitStored(*Open("a"));
  table_.reset();
  machine_.FlipBit("readers", 300);
  Load();
  EXPECT_EQ(table_->Find("a"), nullptr);
  EXPECT_TRUE(machine_.files().contains("readers.torn"));
  AwaitStored(*Open("a"));
  Load();
  EXPECT_NE(table_->Find("a"), nullptr);
}

TEST_F(ReaderTableTest, ANewersFileIsLeftAlone) {
  std::string bytes = EncodeReaders(TestId(), {}, 1);
  bytes[8] = 2;
  const uint64_t hash = LogHash(
      std::string_view(bytes).substr(0, bytes.size() - 8), TestId().seed());
  bytes.replace(bytes.size() - 8, 8, reinterpret_cast<const char*>(&hash), 8);
  machine_.Put("readers", bytes);
  EXPECT_FALSE(TryLoad().ok());
  EXPECT_EQ(machine_.files().at("readers"), bytes);
}

TEST_F(ReaderTableTest, APositionBeyondTheLogIsItsEnd) {
  Load();
  Open("a", 500)->Settle(510);
  Load(/*next_offset=*/100);
  EXPECT_EQ(table_->Find("a")->position(), 100u);
  EXPECT_TRUE(table_->Find("a")->done_above().empty());
}

TEST_F(ReaderTableTest, ThePatternAndTheGroupArePartOfIt) {
  options_.log_readers_max = 1;
  Load();
  const auto reader = Open("a");
  using Outcome = ReaderTable::OpenOutcome;
  const auto outcome = [&](const std::string& name, const std::string& pattern,
                           const std::string& group) {
    return table_->Open(name, pattern, group, 1).outcome;
  };
  EXPECT_EQ(outcome("a", "orders/*", ""), Outcome::kOpened);
  EXPECT_EQ(outcome("a", "orders/b", ""), Outcome::kOtherPattern);
  EXPECT_EQ(outcome("a", "orders/*", "g"), Outcome::kOtherGroup);
  EXPECT_EQ(outcome("b", "orders/*", ""), Outcome::kTooMany);
}

TEST_F(ReaderTableTest, OnlyAReaderThatNobodyUsesIsMovedOrForgotten) {
  Load();
  const auto reader = Open("a", 10);
  int fenced = 0;
  const uint64_t first = reader->Take({1, [&] { ++fenced; }});
  const uint64_t second = reader->Take({2, [&] { ++fenced; }});
  EXPECT_EQ(fenced, 1);
  reader->Leave(first);  // too late
  EXPECT_EQ(reader->sessions(), (std::vector<uint64_t>{2}));
  using Outcome = ReaderTable::ChangeOutcome;
  EXPECT_EQ(table_->Seek("a", 3), Outcome::kInUse);
  EXPECT_EQ(table_->Forget("a"), Outcome::kInUse);
  EXPECT_EQ(table_->Seek("b", 3), Outcome::kUnknown);
  EXPECT_EQ(table_->Forget("b"), Outcome::kUnknown);
  reader->Leave(second);
  EXPECT_EQ(table_->Seek("a", 3), Outcome::kDone);
  EXPECT_EQ(reader->position(), 3u);
  EXPECT_EQ(table_->DoneOffset(), 2u);
  EXPECT_EQ(table_->Forget("a"), Outcome::kDone);
  EXPECT_EQ(table_->DoneOffset(), std::nullopt);
  Load();
  EXPECT_EQ(table_->Find("a"), nullptr);
}

TEST_F(ReaderTableTest, ReadersSettleFromManyThreads) {
  Load();
  const auto reader = Open("a");
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&reader, t] {
      for (uint64_t offset = 1 + t; offset <= 2000; offset += 4) {
        reader->Settle(offset);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reader->position(), 2001u);
  Load(/*next_offset=*/3000);
  EXPECT_EQ(table_->Find("a")->position(), 2001u);
}

}  // namespace
}  // namespace fifobus
