#include "broker/io/bus_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class BusDirectoryTest : public testing::Test {
 protected:
  std::string Path(const std::string& name = "") const {
    return dir_.path() + "/bus" + (name.empty() ? "" : "/" + name);
  }
  mode_t ModeOf(const std::string& name) const {
    struct stat status = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &status), 0) << name;
    return status.st_mode;
  }
  // What a client reads of `alive`: 0 = nobody is there, -1 = somebody is.
  ssize_t ReadAlive() const {
    const UniqueFd fd(
        open(Path("alive").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(fd.valid());
    char byte = 0;
    return read(fd.get(), &byte, 1);
  }

  const TempDir dir_;
};

TEST_F(BusDirectoryTest, MakesWhatIsMissingForThisUserAlone) {
  const auto bus = BusDirectory::Open(Path());
  ASSERT_TRUE(bus.ok()) << bus.status();
  EXPECT_EQ(ModeOf(""), mode_t{S_IFDIR | 0700});
  EXPECT_EQ(ModeOf("sessions"), mode_t{S_IFDIR | 0700});
  EXPECT_EQ(ModeOf("topics"), mode_t{S_IFDIR | 0700});
  EXPECT_EQ(ModeOf("broker.lock"), mode_t{S_IFREG | 0600});
  EXPECT_EQ(ModeOf("alive"), mode_t{S_IFIFO | 0600});
}

TEST_F(BusDirectoryTest, MakesMissingParentsForThisUserAlone) {
  const auto bus = BusDirectory::Open(Path() + "/far/away/bus/");
  ASSERT_TRUE(bus.ok()) << bus.status();
  for (const char* name : {"far", "far/away", "far/away/bus"}) {
    EXPECT_EQ(ModeOf(name), mode_t{S_IFDIR | 0700}) << name;
  }
}

TEST_F(BusDirectoryTest, ASymbolicLinkIsRefusedByThatName) {
  ASSERT_TRUE(BusDirectory::Open(Path()).ok());
  const std::string link = dir_.path() + "/link";
  ASSERT_EQ(symlink("bus", link.c_str()), 0);
  const auto bus = BusDirectory::Open(link);
  ASSERT_FALSE(bus.ok());
  EXPECT_EQ(std::string(bus.status().message()),
            link + " is a symbolic link; name the directory itself");
}

TEST_F(BusDirectoryTest, ASecondBrokerIsRefusedWithThePidOfTheFirst) {
  auto first = BusDirectory::Open(Path());
  ASSERT_TRUE(first.ok());
  const auto second = BusDirectory::Open(Path());
  ASSERT_FALSE(second.ok());
  const std::string message(second.status().message());
  EXPECT_NE(message.find("pid " + std::to_string(getpid())), std::string::npos)
      << message;
  EXPECT_EQ(ReadAlive(), -1) << "the first still lives";
  first->reset();
  EXPECT_TRUE(BusDirectory::Open(Path()).ok());
}

TEST_F(BusDirectoryTest, AliveTellsLifeFromDeath) {
  auto bus = BusDirectory::Open(Path());
  ASSERT_TRUE(bus.ok());
  EXPECT_EQ(ReadAlive(), -1);
  EXPECT_EQ(errno, EAGAIN);
  bus->reset();
  EXPECT_EQ(ReadAlive(), 0);
}

TEST_F(BusDirectoryTest, ALeftoverWriterOfAliveDoesNotFeignLife) {
  ASSERT_TRUE(BusDirectory::Open(Path()).ok());
  const UniqueFd leftover(open(Path("alive").c_str(), O_RDWR | O_CLOEXEC));
  auto bus = BusDirectory::Open(Path());
  ASSERT_TRUE(bus.ok());
  bus->reset();
  EXPECT_EQ(ReadAlive(), 0);
}

TEST_F(BusDirectoryTest, ADirectoryThatIsOpenToOthersIsRefusedWithTheRemedy) {
  ASSERT_EQ(mkdir(Path().c_str(), 0700), 0);
  ASSERT_EQ(chmod(Path().c_str(), 0750), 0);
  const auto bus = BusDirectory::Open(Path());
  ASSERT_FALSE(bus.ok());
  EXPECT_NE(bus.status().message().find("chmod 700"), absl::string_view::npos);
}

TEST_F(BusDirectoryTest, SymbolicLinksAndFilesAreRefused) {
  ASSERT_EQ(mkdir((dir_.path() + "/real").c_str(), 0700), 0);
  std::filesystem::create_directory_symlink("real", Path());
  EXPECT_FALSE(BusDirectory::Open(Path()).ok());
  std::filesystem::remove(Path());
  std::ofstream(Path()) << "a file";
  EXPECT_FALSE(BusDirectory::Open(Path()).ok());
  std::filesystem::remove(Path());
  ASSERT_EQ(mkdir(Path().c_str(), 0700), 0);
  std::filesystem::create_directory_symlink("../real", Path("topics"));
  const auto bus = BusDirectory::Open(Path());
  ASSERT_FALSE(bus.ok());
  EXPECT_NE(bus.status().message().find("topics is not a directory"),
            absl::string_view::npos);
}

TEST_F(BusDirectoryTest, AnotherUsersDirectoryIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(mkdir(Path().c_str(), 0700), 0);
  ASSERT_EQ(chown(Path().c_str(), 12345, 12345), 0);
  const auto bus = BusDirectory::Open(Path());
  ASSERT_FALSE(bus.ok());
  EXPECT_NE(bus.status().message().find("user 12345"), absl::string_view::npos);
}

TEST_F(BusDirectoryTest, UnlinkMindsNoNameThatIsGone) {
  const auto bus = BusDirectory::Open(Path());
  ASSERT_TRUE(bus.ok());
  MakeFifo(Path("sessions/x"));
  EXPECT_TRUE((*bus)->Unlink("sessions/x").ok());
  EXPECT_TRUE((*bus)->Unlink("sessions/x").ok());
  EXPECT_FALSE((*bus)->Unlink("sessions").ok()) << "a folder";
  EXPECT_FALSE(std::filesystem::exists(Path("sessions/x")));
}

}  // namespace
}  // namespace fifobus
