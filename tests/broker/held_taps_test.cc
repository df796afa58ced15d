#include "broker/keeper/held_taps.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class HeldTapsTest : public testing::Test {
 protected:
  HeldTapsTest() {
    signal(SIGPIPE, SIG_IGN);
    MakeFolder("");
  }

  std::string Path(const std::string& name) const {
    return dir_.path() + "/topics/" + name;
  }
  void MakeFolder(const std::string& name) const {
    std::filesystem::create_directories(Path(name));
  }
  void Rename(const std::string& from, const std::string& to) const {
    ASSERT_EQ(rename(Path(from).c_str(), Path(to).c_str()), 0);
  }
  void Remove(const std::string& name) const {
    std::filesystem::remove_all(Path(name));
  }
  void Hold(size_t taps_max = 1000) {
    auto held = HeldTaps::Open(dir_.path(), taps_max);
    ASSERT_TRUE(held.ok()) << held.status();
    held_ = *std::move(held);
  }
  // How many are held once what has happened is looked at.
  size_t Held() const {
    held_->Update();
    return held_->taps();
  }
  // Whether the name is held, in the direction of an `.in`, or of an `.out`.
  bool InIsHeld(const std::string& name) const {
    return UniqueFd(open(Path(name).c_str(), O_WRONLY | O_NONBLOCK)).valid();
  }
  bool OutIsHeld(const std::string& name) const {
    const UniqueFd reader(open(Path(name).c_str(), O_RDONLY | O_NONBLOCK));
    char byte;
    return reader.valid() && read(reader.get(), &byte, 1) < 0;
  }

  const TempDir dir_;
  std::unique_ptr<HeldTaps> held_;
};

TEST_F(HeldTapsTest, WhatLiesThereIsHeldInTheBrokersDirections) {
  MakeFolder("a/b.out");
  MakeFifo(Path("a/b.in"));
  MakeFifo(Path("a/b.out/text"));
  MakeFifo(Path("a/b.out/log.json"));
  Hold();
  EXPECT_EQ(Held(), 3u);
  EXPECT_TRUE(InIsHeld("a/b.in"));
  EXPECT_FALSE(OutIsHeld("a/b.in"));
  EXPECT_TRUE(OutIsHeld("a/b.out/text"));
  EXPECT_FALSE(InIsHeld("a/b.out/text"));
  EXPECT_TRUE(OutIsHeld("a/b.out/log.json"));
}

TEST_F(HeldTapsTest, WhatIsNoTapOfLinesIsNotHeld) {
  MakeFolder("t.out/folder");
  MakeFifo(Path("t.out/whole.frames"));
  MakeFifo(Path("t.out/billing.durable"));
  MakeFifo(Path("t.out/.begun"));
  MakeFifo(Path("t.out/folder/deep"));
  MakeFifo(Path("bad name.in"));
  MakeFifo(Path(".t.in"));
  MakeFifo(Path("plain"));
  MakeFolder("$sys/stats.out");
  MakeFifo(Path("$sys/stats.in"));
  ASSERT_EQ(symlink("plain", Path("link.in").c_str()), 0);
  ASSERT_EQ(link(Path("plain").c_str(), Path("second.in").c_str()), 0);
  Hold();
  EXPECT_EQ(Held(), 0u);
}

TEST_F(HeldTapsTest, NamesThatComeAndGoAreFollowed) {
  Hold();
  MakeFolder("a/b.out");
  MakeFifo(Path("a/b.in"));
  EXPECT_EQ(Held(), 1u);
  MakeFifo(Path("a/b.out/me"));
  EXPECT_EQ(Held(), 2u);
  Remove("a/b.out/me");
  EXPECT_EQ(Held(), 1u);
  Remove("a");
  EXPECT_EQ(Held(), 0u);
  EXPECT_TRUE(held_->IsCurrent());
}

TEST_F(HeldTapsTest, ARenamedFifoIsTheTapOfItsNewName) {
  MakeFolder("t.out");
  MakeFifo(Path("t.out/one"));
  Hold();
  Rename("t.out/one", "t.out/two");
  EXPECT_EQ(Held(), 1u);
  EXPECT_TRUE(OutIsHeld("t.out/two"));
  Rename("t.out/two", "t.out/two.frames");
  EXPECT_EQ(Held(), 0u);
  EXPECT_FALSE(OutIsHeld("t.out/two.frames"));
}

TEST_F(HeldTapsTest, AFifoThatTakesAnothersNameTakesItsPlace) {
  MakeFolder("t.out");
  MakeFifo(Path("t.out/one"));
  Hold();
  MakeFifo(Path("t.out/.new"));
  Rename("t.out/.new", "t.out/one");
  EXPECT_EQ(Held(), 1u);
  EXPECT_TRUE(OutIsHeld("t.out/one"));
}

TEST_F(HeldTapsTest, RenamedFoldersAreFollowed) {
  MakeFolder("a/b/c.out");
  MakeFifo(Path("a/b/c.out/me"));
  Hold();
  Rename("a", "z");
  EXPECT_EQ(Held(), 1u);
  MakeFifo(Path("z/b/c.out/other"));
  EXPECT_EQ(Held(), 2u);
  EXPECT_TRUE(OutIsHeld("z/b/c.out/other"));
  std::filesystem::rename(Path("z"), dir_.path() + "/elsewhere");
  EXPECT_EQ(Held(), 0u);
}

TEST_F(HeldTapsTest, ATreeThatIsReplacedIsNotTheCurrentOne) {
  Hold();
  EXPECT_TRUE(held_->IsCurrent());
  std::filesystem::rename(Path(""), dir_.path() + "/away");
  held_->Update();
  EXPECT_FALSE(held_->IsCurrent());
  MakeFolder("");
  EXPECT_FALSE(held_->IsCurrent());
  Hold();
  EXPECT_TRUE(held_->IsCurrent());
}

TEST_F(HeldTapsTest, MoreThanTheLimitAreSaidOnceAndHeldWhenOthersGo) {
  MakeFolder("t.out");
  for (int i = 0; i < 10; ++i) {
    MakeFifo(Path("t.out/" + std::to_string(i)));
  }
  testing::internal::CaptureStderr();
  Hold(/*taps_max=*/8);
  MakeFifo(Path("u.in"));
  EXPECT_EQ(Held(), 8u);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("cannot hold all taps"), std::string::npos) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  for (int i = 0; i < 10; ++i) Remove("t.out/" + std::to_string(i));
  EXPECT_EQ(Held(), 1u);
  EXPECT_TRUE(InIsHeld("u.in"));
}

TEST_F(HeldTapsTest, LostEventsAreMadeUpForByLookingAtAll) {
  MakeFifo(Path("gone.in"));
  Hold();
  // As in DirectoryWatchTest.
  for (int i = 0; i < 20000; ++i) {
    const std::string name = Path(std::to_string(i % 2));
    ASSERT_EQ(mkdir(name.c_str(), 0700), 0);
    ASSERT_EQ(rmdir(name.c_str()), 0);
  }
  Remove("gone.in");
  MakeFolder("a/b.out");
  MakeFifo(Path("a/b.in"));
  MakeFifo(Path("a/b.out/me"));
  EXPECT_EQ(Held(), 2u);
  EXPECT_TRUE(InIsHeld("a/b.in"));
  EXPECT_TRUE(OutIsHeld("a/b.out/me"));
}

TEST_F(HeldTapsTest, UnreadLinesAreCounted) {
  MakeFifo(Path("t.in"));
  Hold();
  const UniqueFd writer(open(Path("t.in").c_str(), O_WRONLY | O_NONBLOCK));
  ASSERT_EQ(write(writer.get(), "12345\n", 6), 6);
  EXPECT_EQ(held_->unread_bytes(), 6u);
}

}  // namespace
}  // namespace fifobus
