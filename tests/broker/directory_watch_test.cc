#include "broker/io/directory_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

using Kind = DirectoryEvent::Kind;

class DirectoryWatchTest : public testing::Test {
 protected:
  DirectoryWatchTest() {
    test_.Do([&] {
      auto watch = DirectoryWatch::Open(
          test_.worker(),
          [this](const DirectoryEvent& event) { OnEvent(event); },
          [this] { ++overflows_; });
      ASSERT_TRUE(watch.ok()) << watch.status();
      watch_ = *std::move(watch);
    });
  }
  ~DirectoryWatchTest() override {
    test_.Do([&] { watch_.reset(); });
  }

  int Watch(const std::string& path, DirectoryWatch::Opens opens) {
    int number = DirectoryWatch::kNoWatch;
    test_.Do([&] {
      const auto watched = watch_->Watch(path, opens);
      EXPECT_TRUE(watched.ok()) << watched.status();
      if (watched.ok()) number = *watched;
    });
    return number;
  }
  std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  void OnEvent(const DirectoryEvent& event) {
    events_.push_back({event.kind, event.name});
    if (drain_again_) watch_->Drain();
  }
  using Events = std::vector<std::pair<Kind, std::string>>;
  Events Drain() {
    Events events;
    test_.Do([&] {
      watch_->Drain();
      events.swap(events_);
    });
    return events;
  }

  const TempDir dir_;
  TestWorker test_;
  std::unique_ptr<DirectoryWatch> watch_;
  Events events_;
  int overflows_ = 0;
  bool drain_again_ = false;
};

TEST_F(DirectoryWatchTest, TellsWhatAppearsAndVanishes) {
  Watch(dir_.path(), DirectoryWatch::Opens::kIgnored);
  MakeFifo(Path("a"));
  ASSERT_EQ(rename(Path("a").c_str(), Path("b").c_str()), 0);
  ASSERT_EQ(unlink(Path("b").c_str()), 0);
  // The worker may have drained some of them by itself.
  EXPECT_EQ(Drain(), (Events{{Kind::kAppeared, "a"},
                             {Kind::kVanished, "a"},
                             {Kind::kAppeared, "b"},
                             {Kind::kVanished, "b"}}));
}

TEST_F(DirectoryWatchTest, TellsOfOpensOnlyWhereAskedFor) {
  MakeFifo(Path("a"));
  Watch(dir_.path(), DirectoryWatch::Opens::kIgnored);
  { const UniqueFd fd(open(Path("a").c_str(), O_RDONLY | O_NONBLOCK)); }
  EXPECT_EQ(Drain(), Events());
  Watch(dir_.path(), DirectoryWatch::Opens::kReported);
  { const UniqueFd fd(open(Path("a").c_str(), O_RDONLY | O_NONBLOCK)); }
  EXPECT_EQ(Drain(), (Events{{Kind::kOpened, "a"}}));
}

TEST_F(DirectoryWatchTest, AnEventWakesTheWorker) {
  Watch(dir_.path(), DirectoryWatch::Opens::kIgnored);
  MakeFifo(Path("a"));
  EXPECT_TRUE(WaitUntil([&] {
    bool seen = false;
    test_.Do([&] { seen = !events_.empty(); });
    return seen;
  }));
}

TEST_F(DirectoryWatchTest, ADirectoryThatGoesTellsSo) {
  std::filesystem::create_directory(Path("sub"));
  const int number = Watch(Path("sub"), DirectoryWatch::Opens::kIgnored);
  EXPECT_NE(number, DirectoryWatch::kNoWatch);
  std::filesystem::remove(Path("sub"));
  const Events events = Drain();
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const auto& event) {
    return event.first == Kind::kUnwatched && event.second.empty();
  }));
  test_.Do([&] { watch_->Unwatch(number); });  // harmless now
}

TEST_F(DirectoryWatchTest, WatchingAgainGivesTheSameNumber) {
  EXPECT_EQ(Watch(dir_.path(), DirectoryWatch::Opens::kIgnored),
            Watch(dir_.path(), DirectoryWatch::Opens::kIgnored));
}

TEST_F(DirectoryWatchTest, AHandlerThatDrainsIsNotEnteredAgain) {
  drain_again_ = true;
  Watch(dir_.path(), DirectoryWatch::Opens::kIgnored);
  for (int i = 0; i < 50; ++i) MakeFifo(Path(std::to_string(i)));
  EXPECT_EQ(Drain().size(), 50u);
}

TEST_F(DirectoryWatchTest, AnOverflowOfTheKernelsQueueIsTold) {
  Watch(dir_.path(), DirectoryWatch::Opens::kIgnored);
  // This runs on the worker, which therefore reads no events meanwhile. The
  // default of fs.inotify.max_queued_events is 16384. inotify counts equal
  // neighbours once, so two names alternate.
  test_.Do([&] {
    for (int i = 0; i < 20000 && overflows_ == 0; ++i) {
      const std::string name = Path(std::to_string(i % 2));
      ASSERT_EQ(mkdir(name.c_str(), 0700), 0);
      ASSERT_EQ(rmdir(name.c_str()), 0);
    }
    watch_->Drain();
  });
  EXPECT_EQ(overflows_, 1);
}

TEST_F(DirectoryWatchTest, AMissingDirectoryIsAnError) {
  test_.Do([&] {
    EXPECT_FALSE(
        watch_->Watch(Path("missing"), DirectoryWatch::Opens::kIgnored).ok());
  });
  EXPECT_FALSE(ListDirectory(Path("missing")).ok());
}

TEST_F(DirectoryWatchTest, ListsAllNames) {
  MakeFifo(Path("b"));
  MakeFifo(Path(".a"));
  auto names = ListDirectory(dir_.path());
  ASSERT_TRUE(names.ok());
  std::sort(names->begin(), names->end());
  EXPECT_EQ(*names, (std::vector<std::string>{".a", "b"}));
}

}  // namespace
}  // namespace fifobus
