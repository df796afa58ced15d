#ifndef FIFOBUS_TESTS_SUPPORT_LOG_CURSOR_FIXTURE_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_CURSOR_FIXTURE_H_

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/core/readers/log_cursor.h"
#include "broker/io/posix_disk.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"
#include "tests/support/posted_tasks.h"
#include "tests/support/stored_messages.h"

namespace fifobus {

// For what comes soon, on a machine that is slow.
inline constexpr absl::Duration kDeadline = absl::Seconds(60);

// A file whose reads fail while they are told to.
//
// Thread-safe as the file.
class FailingFile : public DiskFile {
 public:
  FailingFile(std::shared_ptr<DiskFile> file, std::atomic<bool>& failing)
      : file_(std::move(file)), failing_(failing) {}
  DiskResult WriteAt(uint64_t position,
                     absl::Span<const std::string_view> parts) override {
    return file_->WriteAt(position, parts);
  }
  DiskResult ReadAt(uint64_t position, char* bytes,
                    size_t size) const override {
    if (failing_.load()) return {DiskOutcome::kFailed, 0, EIO};
    return file_->ReadAt(position, bytes, size);
  }
  DiskResult Sync() override { return file_->Sync(); }
  DiskResult Truncate(uint64_t size) override { return file_->Truncate(size); }
  DiskResult Size() const override { return file_->Size(); }

 private:
  const std::shared_ptr<DiskFile> file_;
  std::atomic<bool>& failing_;
};

// A disk of such files.
//
// Thread-safe as the disk.
class FailingDisk : public Disk {
 public:
  FailingDisk(std::unique_ptr<Disk> disk, std::atomic<bool>& failing)
      : disk_(std::move(disk)), failing_(failing) {}
  OpenedFile Create(const std::string& name) override {
    return Wrap(disk_->Create(name));
  }
  OpenedFile Open(const std::string& name) override {
    return Wrap(disk_->Open(name));
  }
  FolderListing List() override { return disk_->List(); }
  DiskResult Rename(const std::string& from, const std::string& to) override {
    return disk_->Rename(from, to);
  }
  DiskResult Remove(const std::string& name) override {
    return disk_->Remove(name);
  }
  DiskResult SyncFolder() override { return disk_->SyncFolder(); }
  DiskResult Lock() override { return disk_->Lock(); }

 private:
  OpenedFile Wrap(OpenedFile opened) {
    if (opened.file) {
      opened.file =
          std::make_shared<FailingFile>(std::move(opened.file), failing_);
    }
    return opened;
  }
  const std::unique_ptr<Disk> disk_;
  std::atomic<bool>& failing_;
};

// A subscriber with so much room, which takes whole units. Thread-compatible.
class FakeTarget : public LogTarget {
 public:
  size_t Offer(absl::Span<const Slice> slices) override {
    ++offers;
    size_t taken = 0;
    for (const Slice& slice : slices) {
      std::string_view rest(slice.bytes, slice.size);
      uint32_t messages = 0;
      while (!rest.empty()) {
        const MessageUnit unit = FirstUnit(rest);
        if (unit.bytes.size() > room) return taken;
        room -= unit.bytes.size();
        taken += unit.bytes.size();
        rest.remove_prefix(unit.bytes.size());
        messages += unit.is_message() ? 1 : 0;
        Take(unit);
      }
      EXPECT_EQ(messages, slice.messages);
    }
    return taken;
  }

  size_t room = SIZE_MAX;
  int offers = 0;
  std::map<uint64_t, TestMessage> messages;
  std::map<uint64_t, uint64_t> gaps;  // what is missing, by where
  std::vector<pb::Gap::Reason> reasons;
  uint64_t next = 1;  // everything below was delivered, in order

 private:
  void Take(const MessageUnit& unit) {
    if (!unit.is_message()) {
      const pb::Frame frame = Parse(unit.frame);
      gaps.emplace(next, frame.gap().messages());
      reasons.push_back(frame.gap().reason());
      next += frame.gap().messages();
      return;
    }
    const DeliveryView delivery = ReadDelivery(
        ReadWholeFrame(unit.bytes.substr(0, kStoredDeliveryBytes)).member);
    EXPECT_GE(delivery.offset, next);
    EXPECT_GT(delivery.stored_time_unix_nanos, 0u);
    next = delivery.offset + 1;
    const MessageView message = unit.Read();
    messages[delivery.offset] = {std::string(message.topic),
                                 std::string(message.payload)};
  }
};

// A log on disk and a cursor over it, whose worker is the test. Thread-compatible.
class LogCursorFixture : public testing::Test {
 protected:
  LogCursorFixture() {
    StartLog(LogLevel::kOff);
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("cursor_" + std::to_string(getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    rule_.name = "orders";
    rule_.pattern = "orders/**";
    options_.log_read_retry = absl::Milliseconds(1);
  }
  ~LogCursorFixture() override {
    cursor_.reset();
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open() {
    auto disk = PosixDisk::OpenFolder(folder_.string());
    ASSERT_TRUE(disk.ok()) << disk.status();
    auto log = ServedLog::Open(
        std::make_unique<FailingDisk>(*std::move(disk), failing_), rule_,
        options_, 1,
        [this](size_t, absl::Duration, std::function<void()> task) {
          tasks_.Post(std::move(task));
        });
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
  }

  void Read(LogRange range) {
    cursor_ = std::make_unique<LogCursor>(log_, 0, options_, target_,
                                          std::move(range));
  }

  uint64_t Store(const std::vector<TestMessage>& messages) {
    const uint64_t first = AppendMessages(log_->log(), messages);
    AwaitCommitted(first + messages.size() - 1);
    return first;
  }
  uint64_t StoreOne(const std::string& topic, const std::string& payload) {
    return Store({{topic, payload}});
  }
  void AwaitCommitted(uint64_t offset) {
    const absl::Time deadline = absl::Now() + kDeadline;
    while (log_->committed_offset() < offset && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    ASSERT_GE(log_->committed_offset(), offset);
  }

  std::vector<uint64_t> Offsets() const {
    std::vector<uint64_t> offsets;
    for (const auto& [offset, message] : target_.messages) {
      offsets.push_back(offset);
    }
    return offsets;
  }

  std::filesystem::path folder_;
  std::atomic<bool> failing_{false};
  BrokerOptions options_;
  LogRule rule_;
  PostedTasks tasks_;
  std::shared_ptr<ServedLog> log_;
  FakeTarget target_;
  std::unique_ptr<LogCursor> cursor_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_CURSOR_FIXTURE_H_
