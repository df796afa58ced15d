#include "broker/io/file_splice.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "broker/base/unique_fd.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

// A file that cannot be spliced from.
class NoFile : public DiskFile {
 public:
  DiskResult WriteAt(uint64_t, absl::Span<const std::string_view>) override {
    return {};
  }
  DiskResult ReadAt(uint64_t, char*, size_t) const override { return {}; }
  DiskResult Sync() override { return {}; }
  DiskResult Truncate(uint64_t) override { return {}; }
  DiskResult Size() const override { return {}; }
};

class FileSpliceTest : public testing::Test {
 protected:
  FileSpliceTest() {
    for (size_t i = 0; i < 100'000; ++i) {
      bytes_ += static_cast<char>('a' + i % 23);
    }
    auto disk = PosixDisk::OpenFolder(dir_.path() + "/disk");
    EXPECT_TRUE(disk.ok());
    disk_ = *std::move(disk);
    file_ = disk_->Create("file").file;
    const std::string_view part = bytes_;
    EXPECT_EQ(file_->WriteAt(0, {&part, 1}).bytes, bytes_.size());
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }

  // 1,000 bytes from each of these places.
  SinkResult Splice(const DiskFile& file, std::vector<uint64_t> positions,
                    size_t bytes = 1000) {
    std::vector<Slice> slices;
    for (const uint64_t position : positions) {
      slices.push_back({bytes_.data() + position, bytes});
    }
    return SpliceFromFile({&file, positions}, write_.get(), slices);
  }
  std::string ReadPipe() {
    std::string read_bytes(bytes_.size() * 2, '\0');
    const ssize_t size =
        read(read_.get(), read_bytes.data(), read_bytes.size());
    read_bytes.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return read_bytes;
  }

  const TempDir dir_;
  std::string bytes_;
  std::unique_ptr<Disk> disk_;
  std::shared_ptr<DiskFile> file_;
  UniqueFd read_;
  UniqueFd write_;
};

TEST_F(FileSpliceTest, ThePipeGetsTheSlicesInOrder) {
  const SinkResult result = Splice(*file_, {5000, 17});
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(result.bytes_taken, 2000u);
  EXPECT_EQ(ReadPipe(), bytes_.substr(5000, 1000) + bytes_.substr(17, 1000));
}

TEST_F(FileSpliceTest, AFullPipeTakesAPart) {
  const SinkResult result = Splice(*file_, {100}, 90'000);
  EXPECT_EQ(result.outcome, SinkOutcome::kWouldBlock);
  EXPECT_GT(result.bytes_taken, 0u);
  EXPECT_LT(result.bytes_taken, 90'000u);
  EXPECT_EQ(ReadPipe(), bytes_.substr(100, result.bytes_taken));
}

TEST_F(FileSpliceTest, WithoutAReaderThereIsNone) {
  signal(SIGPIPE, SIG_IGN);
  read_.Reset();
  EXPECT_EQ(Splice(*file_, {0}).outcome, SinkOutcome::kNoReader);
}

TEST_F(FileSpliceTest, WhatIsNoRealFileIsWrittenFromMemory) {
  const SinkResult result = Splice(NoFile(), {0, 3000});
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(ReadPipe(), bytes_.substr(0, 1000) + bytes_.substr(3000, 1000));
}

TEST_F(FileSpliceTest, WhatTheFileLacksIsWrittenFromMemory) {
  ASSERT_TRUE(file_->Truncate(500).ok());
  const SinkResult result = Splice(*file_, {0});
  EXPECT_EQ(result.outcome, SinkOutcome::kAll);
  EXPECT_EQ(ReadPipe(), bytes_.substr(0, 1000));
}

}  // namespace
}  // namespace fifobus
