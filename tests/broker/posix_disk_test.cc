#include "broker/io/posix_disk.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

class PosixDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + fmt::format("/disk-{}", getpid());
    std::filesystem::remove_all(folder_);
    auto disk = PosixDisk::OpenFolder(folder_);
    ASSERT_TRUE(disk.ok()) << disk.status().message();
    disk_ = *std::move(disk);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::unique_ptr<PosixDisk> disk_;
};

TEST_F(PosixDiskTest, TheFolderIsTheOwnersAlone) {
  struct stat status = {};
  ASSERT_EQ(stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(PosixDiskTest, AFileIsReadAsItWasWritten) {
  const OpenedFile made = disk_->Create("a");
  ASSERT_TRUE(made.result.ok());
  const std::string_view parts[] = {"hello ", "", "world"};
  EXPECT_EQ(made.file->WriteAt(3, parts).bytes, 11u);
  EXPECT_TRUE(made.file->Sync().ok());
  EXPECT_TRUE(disk_->SyncFolder().ok());
  const OpenedFile opened = disk_->Open("a");
  ASSERT_TRUE(opened.result.ok());
  EXPECT_EQ(opened.file->Size().bytes, 14u);
  char bytes[20];
  EXPECT_EQ(opened.file->ReadAt(3, bytes, sizeof(bytes)).bytes, 11u);
  EXPECT_EQ(std::string(bytes, 11), "hello world");
  EXPECT_EQ(opened.file->ReadAt(14, bytes, sizeof(bytes)).bytes, 0u);
  EXPECT_TRUE(opened.file->Truncate(5).ok());
  EXPECT_EQ(made.file->Size().bytes, 5u);
}

TEST_F(PosixDiskTest, AFileThatWasRemovedCannotBeSynced) {
  const OpenedFile made = disk_->Create("a");
  ASSERT_TRUE(made.result.ok());
  EXPECT_TRUE(disk_->Rename("a", "b").ok());
  EXPECT_TRUE(made.file->Sync().ok());
  EXPECT_TRUE(disk_->Remove("b").ok());
  EXPECT_EQ(made.file->Sync().outcome, DiskOutcome::kMissing);
}

TEST_F(PosixDiskTest, AFolderThatIsOpenForReadingIsNeverChanged) {
  ASSERT_TRUE(disk_->Create("a").result.ok());
  auto opened = PosixDisk::OpenFolderToRead(folder_);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  PosixDisk& reader = **opened;
  const OpenedFile file = reader.Open("a");
  ASSERT_TRUE(file.result.ok());
  const std::string_view part = "x";
  EXPECT_FALSE(file.file->WriteAt(0, {&part, 1}).ok());
  EXPECT_FALSE(file.file->Truncate(0).ok());
  EXPECT_EQ(reader.Create("b").result.error, EROFS);
  EXPECT_EQ(reader.Rename("a", "b").error, EROFS);
  EXPECT_EQ(reader.Remove("a").error, EROFS);
  EXPECT_EQ(reader.Lock().error, EROFS);
  EXPECT_EQ(reader.List().names, std::vector<std::string>{"a"});
}

TEST_F(PosixDiskTest, AFolderThatIsMissingIsNotMadeForReading) {
  const std::string missing = folder_ + "/missing";
  EXPECT_FALSE(PosixDisk::OpenFolderToRead(missing).ok());
  EXPECT_FALSE(std::filesystem::exists(missing));
}

TEST_F(PosixDiskTest, OutcomesAreTold) {
  EXPECT_EQ(disk_->Open("a").result.outcome, DiskOutcome::kMissing);
  EXPECT_EQ(disk_->Remove("a").outcome, DiskOutcome::kMissing);
  EXPECT_TRUE(disk_->Create("a").result.ok());
  EXPECT_EQ(disk_->Create("a").result.outcome, DiskOutcome::kExists);
  EXPECT_TRUE(disk_->Rename("a", "b").ok());
  EXPECT_EQ(disk_->List().names, std::vector<std::string>{"b"});
  EXPECT_TRUE(disk_->Remove("b").ok());
  EXPECT_TRUE(disk_->List().names.empty());
}

TEST_F(PosixDiskTest, NothingLeadsOutOfTheFolder) {
  std::filesystem::create_symlink("/etc/passwd", folder_ + "/link");
  EXPECT_EQ(disk_->Open("link").result.outcome, DiskOutcome::kFailed);
  EXPECT_EQ(disk_->Open("../disk").result.outcome, DiskOutcome::kFailed);
}

TEST_F(PosixDiskTest, AFullDiskIsTold) {
  if (geteuid() != 0) GTEST_SKIP() << "/dev is root's";
  const OpenedFile full = [] {
    auto dev = PosixDisk::OpenFolder("/dev");
    return (*dev)->Open("full");
  }();
  ASSERT_TRUE(full.result.ok());
  const std::string_view parts[] = {"x"};
  EXPECT_EQ(full.file->WriteAt(0, parts).outcome, DiskOutcome::kNoRoom);
}

TEST_F(PosixDiskTest, TheLockIsHeldUntilTheDiskIsGone) {
  EXPECT_TRUE(disk_->Lock().ok());
  auto other = PosixDisk::OpenFolder(folder_);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)->Lock().outcome, DiskOutcome::kLocked);
  disk_.reset();
  EXPECT_TRUE((*other)->Lock().ok());
}

TEST_F(PosixDiskTest, AFolderOfAnotherUserIsRefused) {
  // man's, where man-db is installed; root's for everybody but root.
  for (const std::string path : {"/var/cache/man", "/"}) {
    struct stat status = {};
    if (stat(path.c_str(), &status) != 0 || status.st_uid == geteuid()) {
      continue;
    }
    EXPECT_EQ(PosixDisk::OpenFolder(path).status().message(),
              path + " belongs to another user");
    return;
  }
  GTEST_SKIP() << "everything here belongs to this user";
}

TEST_F(PosixDiskTest, AFolderThatCannotBeMadeIsAnError) {
  const auto missing = PosixDisk::OpenFolder(folder_ + "/a/b");
  EXPECT_EQ(missing.status().message(),
            fmt::format("mkdir {}/a/b: No such file or directory", folder_));
  (void)disk_->Create("file");
  EXPECT_FALSE(PosixDisk::OpenFolder(folder_ + "/file").ok());
}

}  // namespace
}  // namespace fifobus
