#include "broker/upgrade/upgrade_request.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

TEST(UpgradeRequestTest, ARequestIsTakenOnce) {
  const TempDir dir;
  ASSERT_TRUE(WriteUpgradeRequest(dir.path(), {"id 1", "/bin/new one"}).ok());
  const auto taken = TakeUpgradeRequest(dir.path());
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->id, "id 1");
  EXPECT_EQ(taken->program, "/bin/new one");
  const auto again = TakeUpgradeRequest(dir.path());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->id, "");
  EXPECT_EQ(again->program, "");
}

TEST(UpgradeRequestTest, AnAnswerIsForTheOneThatAsked) {
  const TempDir dir;
  EXPECT_FALSE(ReadUpgradeAnswer(dir.path(), "1"));
  ASSERT_TRUE(WriteUpgradeAnswer(dir.path(), "1", {true, "well\ndone"}).ok());
  EXPECT_FALSE(ReadUpgradeAnswer(dir.path(), "2"));
  const auto answer = ReadUpgradeAnswer(dir.path(), "1");
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->done);
  EXPECT_EQ(answer->text, "well done");
}

TEST(UpgradeRequestTest, AFileThatOthersCanWriteIsNotBelieved) {
  const TempDir dir;
  ASSERT_TRUE(WriteUpgradeRequest(dir.path(), {"1", "/bin/evil"}).ok());
  ASSERT_EQ(chmod((dir.path() + "/upgrade").c_str(), 0666), 0);
  EXPECT_FALSE(TakeUpgradeRequest(dir.path()).ok());
}

TEST(UpgradeRequestTest, AFileThatIsNoRequestIsRefusedAndGone) {
  const TempDir dir;
  std::ofstream(dir.path() + "/upgrade") << "one line\n";
  EXPECT_FALSE(TakeUpgradeRequest(dir.path()).ok());
  EXPECT_TRUE(TakeUpgradeRequest(dir.path()).ok());
  EXPECT_FALSE(WriteUpgradeRequest(dir.path(), {"1", "two\nlines"}).ok());
}

}  // namespace
}  // namespace fifobus
