// A durable log: what appending costs, what a synced commit costs beside a bare
// pwrite and fdatasync, what reading and recovery cost. The folder is
// $FIFOBUS_LOG_BENCH_DIR, or a test's own, or /var/tmp: a tmpfs would measure
// nothing.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "benchmark/benchmark.h"
#include "broker/base/log.h"
#include "broker/core/logs/durable_log.h"
#include "broker/io/posix_disk.h"

namespace fifobus {
namespace {

constexpr uint32_t kMessageBytes = 200;

std::string Folder() {
  const char* folder = getenv("FIFOBUS_LOG_BENCH_DIR");
  if (folder == nullptr) folder = getenv("TEST_TMPDIR");
  return std::string(folder == nullptr ? "/var/tmp" : folder) +
         "/fifobus-log-bench-" + std::to_string(getpid());
}

// A disk that takes everything at once: what is left is the log's own work.
class NullFile : public DiskFile {
 public:
  DiskResult WriteAt(uint64_t,
                     absl::Span<const std::string_view> parts) override {
    uint64_t bytes = 0;
    for (std::string_view part : parts) bytes += part.size();
    return {DiskOutcome::kDone, bytes, 0};
  }
  DiskResult ReadAt(uint64_t, char*, size_t) const override { return {}; }
  DiskResult Sync() override { return {}; }
  DiskResult Truncate(uint64_t) override { return {}; }
  DiskResult Size() const override { return {}; }
};

class NullDisk : public Disk {
 public:
  OpenedFile Create(const std::string&) override {
    return {{}, std::make_shared<NullFile>()};
  }
  OpenedFile Open(const std::string&) override {
    return {{}, std::make_shared<NullFile>()};
  }
  FolderListing List() override { return {}; }
  DiskResult Rename(const std::string&, const std::string&) override {
    return {};
  }
  DiskResult Remove(const std::string&) override { return {}; }
  DiskResult SyncFolder() override { return {}; }
  DiskResult Lock() override { return {}; }
};

LogObserver observer;
const BrokerOptions options;

std::unique_ptr<DurableLog> OpenLog(std::unique_ptr<Disk> disk) {
  StartLog(LogLevel::kOff);
  DurableLog::Opened opened =
      DurableLog::Open(std::move(disk), LogRule(), options, observer);
  return std::move(opened.log);
}

std::unique_ptr<DurableLog> OpenRealLog() {
  return OpenLog(*PosixDisk::OpenFolder(Folder()));
}

// Appends one chunk: a batch of so many messages.
void Append(DurableLog& log, const std::string& body, uint32_t messages,
            std::string_view publisher = "", uint64_t sequence = 0) {
  const LogAppend append{publisher,
                         sequence,
                         sequence,
                         messages,
                         static_cast<uint32_t>(body.size()),
                         1};
  (void)log.Append(append, [&](const DurableLog::Placement&, char* out) {
    body.copy(out, body.size());
  });
}

// Batches of range(0) messages, 64 of them a commit, on a disk that costs
// nothing: the log's own CPU for each message.
void BM_AppendAndCommit(benchmark::State& state) {
  const auto messages = static_cast<uint32_t>(state.range(0));
  const std::string body(size_t{kMessageBytes} * messages, 'x');
  const auto log = OpenLog(std::make_unique<NullDisk>());
  uint64_t sequence = 0;
  for (auto _ : state) {
    for (int i = 0; i < 64; ++i)
      Append(*log, body, messages, "till-1", ++sequence);
    benchmark::DoNotOptimize(log->Commit(LogWriter::SyncWhen::kNow));
  }
  state.SetItemsProcessed(state.iterations() * 64 * messages);
}
BENCHMARK(BM_AppendAndCommit)->Arg(1)->Arg(16)->Arg(256);

// One synced commit of range(0) messages on a real file.
void BM_SyncedCommit(benchmark::State& state) {
  const auto messages = static_cast<uint32_t>(state.range(0));
  const std::string body(size_t{kMessageBytes} * messages, 'x');
  const auto log = OpenRealLog();
  for (auto _ : state) {
    Append(*log, body, messages);
    benchmark::DoNotOptimize(log->Commit(LogWriter::SyncWhen::kNow));
  }
  state.SetItemsProcessed(state.iterations() * messages);
  std::filesystem::remove_all(Folder());
}
BENCHMARK(BM_SyncedCommit)->Arg(1)->Arg(1024)->UseRealTime();

// What the same bytes cost without a log.
void BM_BareWriteAndSync(benchmark::State& state) {
  const std::string body(size_t{kMessageBytes} * state.range(0), 'x');
  std::filesystem::create_directory(Folder());
  const int fd =
      open((Folder() + "/bare").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  off_t position = 0;
  for (auto _ : state) {
    if (pwrite(fd, body.data(), body.size(), position) < 0 ||
        fdatasync(fd) != 0) {
      state.SkipWithError("pwrite or fdatasync");
      break;
    }
    position += static_cast<off_t>(body.size());
    // As long as a segment.
    if (position > static_cast<off_t>(options.log_segment_bytes)) {
      position = 0;
      if (ftruncate(fd, 0) != 0) state.SkipWithError("ftruncate");
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  close(fd);
  std::filesystem::remove_all(Folder());
}
BENCHMARK(BM_BareWriteAndSync)->Arg(1)->Arg(1024)->UseRealTime();

// Fills a log with range(0) MiB of batches of 100 messages.
void Fill(DurableLog& log, int64_t mebibytes) {
  const std::string body(size_t{kMessageBytes} * 100, 'x');
  for (int64_t left = mebibytes << 20; left > 0;
       left -= static_cast<int64_t>(body.size())) {
    Append(log, body, 100);
    if (left % 50 == 0) (void)log.Commit(LogWriter::SyncWhen::kLater);
  }
  (void)log.Commit(LogWriter::SyncWhen::kNow);
  (void)log.Cover();
}

void BM_Recovery(benchmark::State& state) {
  Fill(*OpenRealLog(), state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(OpenRealLog());
  std::filesystem::remove_all(Folder());
}
BENCHMARK(BM_Recovery)
    ->Arg(1)
    ->Arg(32)
    ->Arg(60)
    ->Arg(256)
    ->Arg(1024)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Finding and checking extents of 1 MiB, all from the page cache.
void BM_ReadExtents(benchmark::State& state) {
  const auto log = OpenRealLog();
  Fill(*log, 60);
  uint64_t offset = 1;
  uint64_t bytes = 0;
  for (auto _ : state) {
    const LogReadResult read = log->Read(offset, size_t{1} << 20);
    for (const LogExtent& extent : read.extents) bytes += extent.bytes;
    offset = read.outcome == LogReadOutcome::kExtents ? read.next_offset : 1;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  std::filesystem::remove_all(Folder());
}
BENCHMARK(BM_ReadExtents);

}  // namespace
}  // namespace fifobus
