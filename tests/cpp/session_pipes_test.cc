#include "clients/cpp/internal/session_pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

class SessionPipesTest : public testing::Test {
 protected:
  SessionPipesTest() {
    std::filesystem::create_directory(dir_.path() + "/sessions");
  }
  SessionPipes Offer() {
    auto pipes = SessionPipes::Offer(dir_.path(), "hello");
    EXPECT_TRUE(pipes.ok()) << pipes.status();
    return *std::move(pipes);
  }
  std::set<std::string> Names() const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_.path() + "/sessions")) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  // What the broker does with a pair: opens `down`, then `up`, and removes
  // both.
  void Admit() {
    for (const std::string& name : Names()) {
      const std::string path = dir_.path() + "/sessions/" + name;
      const bool is_up = name.ends_with(".up");
      UniqueFd& end = is_up ? broker_up_ : broker_down_;
      end.Reset(open(path.c_str(),
                     (is_up ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC));
      EXPECT_TRUE(end.valid());
      unlink(path.c_str());
    }
  }

  const TempDir dir_;
  UniqueFd broker_up_;
  UniqueFd broker_down_;
};

TEST_F(SessionPipesTest, TheNamesAreAPairOf128RandomBits) {
  const SessionPipes pipes = Offer();
  const std::set<std::string> names = Names();
  ASSERT_EQ(names.size(), 2u);
  const std::string id = names.begin()->substr(0, 32);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(names, (std::set<std::string>{id + ".down", id + ".up"}));
  const SessionPipes other = Offer();
  EXPECT_EQ(Names().size(), 4u);
}

TEST_F(SessionPipesTest, HelloWaitsForTheBroker) {
  SessionPipes pipes = Offer();
  EXPECT_TRUE(pipes.NamesExist());
  Admit();
  EXPECT_FALSE(pipes.NamesExist());
  EXPECT_EQ(ReadBytes(broker_up_.get(), 5), "hello");
  ASSERT_EQ(write(broker_down_.get(), "welcome", 7), 7);
  EXPECT_EQ(ReadBytes(pipes.down(), 7), "welcome");
}

TEST_F(SessionPipesTest, AfterWelcomeTheBrokersDeathBreaksUp) {
  SessionPipes pipes = Offer();
  Admit();
  ASSERT_EQ(write(pipes.up(), "more", 4), 4);
  EXPECT_FALSE(pipes.UpIsAbandoned());
  broker_up_.Reset();
  EXPECT_FALSE(pipes.UpIsAbandoned())
      << "the client reads it itself until then";
  pipes.OnWelcome();
  EXPECT_TRUE(pipes.UpIsAbandoned());
}

TEST_F(SessionPipesTest, AnOrderlyEndAbandonsNothing) {
  SessionPipes pipes = Offer();
  Admit();
  pipes.OnWelcome();
  (void)ReadBytes(broker_up_.get(), 5);
  broker_up_.Reset();
  EXPECT_FALSE(pipes.UpIsAbandoned());
  pipes.CloseUp();
  EXPECT_EQ(pipes.up(), -1);
}

TEST_F(SessionPipesTest, APairThatNobodyTookIsRemoved) {
  { const SessionPipes pipes = Offer(); }
  EXPECT_TRUE(Names().empty());
  SessionPipes moved;
  {
    SessionPipes pipes = Offer();
    moved = std::move(pipes);
  }
  EXPECT_EQ(Names().size(), 2u) << "moving does not remove";
  moved = SessionPipes();
  EXPECT_TRUE(Names().empty());
}

TEST_F(SessionPipesTest, AFailureLeavesNothingBehind) {
  std::filesystem::remove(dir_.path() + "/sessions");
  EXPECT_FALSE(SessionPipes::Offer(dir_.path(), "hello").ok());
  std::filesystem::create_directory(dir_.path() + "/sessions");
  const std::string too_long(1 << 20, 'x');
  EXPECT_FALSE(SessionPipes::Offer(dir_.path(), too_long).ok());
  EXPECT_TRUE(Names().empty());
}

}  // namespace
}  // namespace fifobus
