// The log on real files. A child commits, and kills itself before or behind one
// system call of the committer; then it is the next one's turn. The parent
// recovers what is there.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/durable_log.h"
#include "broker/io/posix_disk.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/log_model.h"

namespace fifobus {
namespace {

// Counts system calls, and ends the process at one of them.
struct KillPoint {
  int call = -1;  // -1: never
  bool behind = false;
  int calls = 0;

  void Before() { Kill(!behind); }
  void Behind() {
    Kill(behind);
    ++calls;
  }
  void Kill(bool here) const {
    if (here && calls == call) raise(SIGKILL);
  }
};

template <typename Call>
std::invoke_result_t<Call> At(KillPoint& point, Call call) {
  point.Before();
  auto result = call();
  point.Behind();
  return result;
}

class KillingFile : public DiskFile {
 public:
  KillingFile(std::shared_ptr<DiskFile> file, KillPoint& point)
      : file_(std::move(file)), point_(point) {}

  DiskResult WriteAt(uint64_t position,
                     absl::Span<const std::string_view> parts) override {
    return At(point_, [&] { return file_->WriteAt(position, parts); });
  }
  DiskResult ReadAt(uint64_t position, char* bytes,
                    size_t size) const override {
    return file_->ReadAt(position, bytes, size);
  }
  DiskResult Sync() override {
    return At(point_, [&] { return file_->Sync(); });
  }
  DiskResult Truncate(uint64_t size) override {
    return At(point_, [&] { return file_->Truncate(size); });
  }
  DiskResult Size() const override { return file_->Size(); }

 private:
  const std::shared_ptr<DiskFile> file_;
  KillPoint& point_;
};

class KillingDisk : public Disk {
 public:
  KillingDisk(std::unique_ptr<Disk> disk, KillPoint& point)
      : disk_(std::move(disk)), point_(point) {}

  OpenedFile Create(const std::string& name) override {
    return Wrap(At(point_, [&] { return disk_->Create(name); }));
  }
  OpenedFile Open(const std::string& name) override {
    return Wrap(disk_->Open(name));
  }
  FolderListing List() override { return disk_->List(); }
  DiskResult Rename(const std::string& from, const std::string& to) override {
    return At(point_, [&] { return disk_->Rename(from, to); });
  }
  DiskResult Remove(const std::string& name) override {
    return At(point_, [&] { return disk_->Remove(name); });
  }
  DiskResult SyncFolder() override {
    return At(point_, [&] { return disk_->SyncFolder(); });
  }
  DiskResult Lock() override { return disk_->Lock(); }

 private:
  OpenedFile Wrap(OpenedFile opened) {
    if (opened.file) {
      opened.file = std::make_shared<KillingFile>(opened.file, point_);
    }
    return opened;
  }

  const std::unique_ptr<Disk> disk_;
  KillPoint& point_;
};

struct Confirmations : LogObserver {
  explicit Confirmations(int pipe) : fd(pipe) {}
  // As a publisher would hear of it.
  void OnCommitted(uint64_t offset) override {
    if (fd >= 0) {
      EXPECT_EQ(write(fd, &offset, sizeof(offset)), ssize_t{sizeof(offset)});
    }
  }
  int fd;
};

// Batch number `n` of every run.
std::string BodyNumber(uint64_t n) {
  std::string body = fmt::format("message {} ", n);
  body.resize(200 + n * 611 % 4000, static_cast<char>('a' + n % 26));
  return body;
}

class LogKillTest : public testing::Test {
 protected:
  void SetUp() override {
    StartLog(LogLevel::kOff);
    folder_ = testing::TempDir() + fmt::format("/kill-{}", getpid());
    std::filesystem::remove_all(folder_);
    options_.log_segment_bytes = size_t{16} << 10;
    rule_.keep_messages = 20;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  DurableLog::Opened Open(KillPoint& point, LogObserver& observer) {
    auto disk = PosixDisk::OpenFolder(folder_);
    EXPECT_TRUE(disk.ok()) << disk.status().message();
    return DurableLog::Open(
        std::make_unique<KillingDisk>(*std::move(disk), point), rule_, options_,
        observer);
  }

  // Opens the log, commits some batches and rolls, retains and covers on the
  // way. Returns how many calls that took.
  int Work(KillPoint& point, int pipe) {
    Confirmations observer(pipe);
    const DurableLog::Opened opened = Open(point, observer);
    if (!opened.log) return 0;
    DurableLog& log = *opened.log;
    for (int i = 0; i < 8; ++i) {
      for (int batches = 0; batches <= i % 3; ++batches) AppendNext(log);
      EXPECT_EQ(log.Commit(LogWriter::SyncWhen::kNow), LogOutcome::kDone);
      if (i % 4 == 3) log.Retain(0);
    }
    AppendNext(log);
    EXPECT_EQ(log.Commit(LogWriter::SyncWhen::kLater), LogOutcome::kDone);
    EXPECT_EQ(log.Commit(LogWriter::SyncWhen::kNow), LogOutcome::kDone);
    EXPECT_EQ(log.Cover(), LogOutcome::kDone);
    return point.calls;
  }

  static void AppendNext(DurableLog& log) {
    const uint64_t number = log.next_offset();
    const std::string body = BodyNumber(number);
    LogAppend append{
        "killed", number, number, 1, static_cast<uint32_t>(body.size()),
        number};
    const AppendResult result =
        log.Append(append, [&](const DurableLog::Placement&, char* out) {
          body.copy(out, body.size());
        });
    EXPECT_EQ(result.outcome, AppendOutcome::kAppended);
  }

  // Runs a child that dies at the point. Returns what it confirmed last.
  uint64_t RunChild(KillPoint point) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      (void)Work(point, ends[1]);
      _exit(HasFailure() ? 2 : 0);
    }
    close(ends[1]);
    uint64_t confirmed = 0;
    for (uint64_t offset; read(ends[0], &offset, sizeof(offset)) > 0;) {
      confirmed = offset;
    }
    close(ends[0]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the child outlived call " << point.call;
    return confirmed;
  }

  // Everything that was confirmed is there, once and byte for byte.
  void Check(uint64_t confirmed) {
    KillPoint never;
    Confirmations observer(-1);
    const DurableLog::Opened opened = Open(never, observer);
    ASSERT_TRUE(opened.log) << opened.reason;
    EXPECT_TRUE(opened.missing.empty());
    const DurableLog& log = *opened.log;
    EXPECT_GE(log.committed_offset(), confirmed);
    uint64_t offset = log.first_offset();
    EXPECT_TRUE(log.committed_offset() < 20 || offset + 19 <= confirmed)
        << "retention keeps the last 20";
    while (offset <= log.committed_offset()) {
      const LogReadResult read = log.Read(offset, 10000);
      ASSERT_EQ(read.outcome, LogReadOutcome::kExtents) << offset;
      for (const LogExtent& extent : read.extents) {
        ASSERT_EQ(extent.first_offset, offset);
        ASSERT_EQ(BodyOf(extent), BodyNumber(offset));
        ++offset;
      }
    }
    const auto mark = opened.log->FindPublisher("killed");
    EXPECT_EQ(mark ? mark->last_sequence : 0, log.committed_offset());
  }

  std::string folder_;
  BrokerOptions options_;
  LogRule rule_;
};

TEST_F(LogKillTest, ConfirmedMessagesSurviveAKillAtEverySystemCall) {
  KillPoint counting;
  ASSERT_GT(Work(counting, -1), 30);
  std::filesystem::remove_all(folder_);
  uint64_t confirmed = 0;
  // The log lives on from child to child, so each recovers what the one before
  // has left.
  for (int call = 0; call < counting.calls; ++call) {
    for (const bool behind : {false, true}) {
      SCOPED_TRACE(
          fmt::format("{} call {}", behind ? "behind" : "before", call));
      confirmed = std::max(confirmed, RunChild({call, behind}));
      Check(confirmed);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(confirmed, 300u);
}

TEST_F(LogKillTest, OneBrokerHasALog) {
  KillPoint never;
  Confirmations observer(-1);
  const DurableLog::Opened first = Open(never, observer);
  ASSERT_TRUE(first.log);
  const DurableLog::Opened second = Open(never, observer);
  EXPECT_EQ(second.outcome, LogOutcome::kLocked);
  EXPECT_FALSE(second.log);
}

}  // namespace
}  // namespace fifobus
