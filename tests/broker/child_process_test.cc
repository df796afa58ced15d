#include "broker/base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

ChildProcess StartShell(const std::string& script,
                        const ChildProcess::Files& files = {}) {
  auto child = ChildProcess::Start({"sh", "-c", script}, files);
  EXPECT_TRUE(child.ok()) << child.status();
  return *std::move(child);
}

TEST(ChildProcessTest, TheEndIsAnExitCodeOrMinusASignalHoweverOftenAsked) {
  ChildProcess exits = StartShell("exit 7");
  EXPECT_EQ(exits.Wait(), 7);
  EXPECT_EQ(exits.Wait(), 7);
  EXPECT_EQ(exits.Poll(), 7);
  exits.Signal(SIGKILL);  // whoever has its number by now is left alone
  ChildProcess sleeps = StartShell("exec sleep 1000");
  EXPECT_EQ(sleeps.Poll(), std::nullopt);
  sleeps.Signal(SIGTERM);
  EXPECT_EQ(sleeps.Wait(), -SIGTERM);
}

TEST(ChildProcessTest, ItsFilesAreThoseThatWereNamed) {
  const PipeEnds input = MakePipe();
  const PipeEnds output = MakePipe();
  ASSERT_EQ(fcntl(input.reading.get(), F_SETFL, 0), 0);
  ChildProcess child =
      StartShell("read line; echo \"got $line\"; echo nowhere >&2",
                 {input.reading.get(), output.writing.get(), -1});
  ASSERT_EQ(write(input.writing.get(), "this\n", 5), 5);
  EXPECT_EQ(ReadBytes(output.reading.get(), 9), "got this\n");
  EXPECT_EQ(child.Wait(), 0);
}

TEST(ChildProcessTest, AProgramThatCannotBeRunIsAnError) {
  const auto child = ChildProcess::Start({"/no/such/program"}, {});
  EXPECT_NE(child.status().message().find("/no/such/program"),
            std::string::npos);
}

TEST(ChildProcessTest, SigpipeHasItsDefaultEffect) {
  const auto before = signal(SIGPIPE, SIG_IGN);
  PipeEnds output = MakePipe();
  output.reading.Reset();
  ChildProcess child =
      StartShell("kill -PIPE $$; exit 0", {-1, output.writing.get(), -1});
  EXPECT_EQ(child.Wait(), -SIGPIPE);
  signal(SIGPIPE, before);
}

TEST(ChildProcessTest, ItIsKilledWithItsObject) {
  pid_t pid = -1;
  {
    const ChildProcess child = StartShell("exec sleep 1000");
    pid = child.pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace fifobus
