// `fifobus serve` as a process among others: its log, its signals, its
// descriptors and its directory.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/cli_support.h"

namespace fifobus {
namespace {

class ServeTest : public CliTest {
 protected:
  ServeTest() { UseDir(bus()); }

  std::string bus() const { return folder_.path() + "/bus"; }
  std::string BusPath(const std::string& name) const {
    return bus() + "/" + name;
  }

  // Runs a broker. `command` is what the shell is to do with it.
  std::unique_ptr<Process> Serve(
      const std::string& command = "exec fifobus serve") const {
    auto broker = Spawn(command, "serve");
    EXPECT_TRUE(WaitUntil([&] { return IsAlive(); })) << Log();
    return broker;
  }

  bool IsAlive() const {
    const UniqueFd alive(
        open(BusPath("alive").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    char byte;
    return alive.valid() && read(alive.get(), &byte, 1) < 0;
  }

  std::string Log() const { return ReadFile(Path("serve.err")); }
  bool AwaitLog(const std::string& text) const {
    return WaitUntil([&] { return Log().find(text) != std::string::npos; });
  }

 private:
  const TempDir folder_;
};

TEST_F(ServeTest, ALogThatNobodyReadsStopsNobody) {
  const std::string log = Path("log");
  MakeFifo(log);
  // Its reader has stopped reading, as a `less` that was suspended.
  const UniqueFd reader(open(log.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ASSERT_EQ(fcntl(reader.get(), F_SETPIPE_SZ, 4096), 4096);
  const auto broker = Serve("exec fifobus serve 2> " + log);
  // Each is a line of the log.
  constexpr int kNames = 200;
  for (int i = 0; i < kNames; ++i) {
    MakeFifo(BusPath(fmt::format("topics/bad name {}.in", i)));
  }
  EXPECT_EQ(Run("fifobus pub t hello --confirm").out, "accepted 0 0\n");
  EXPECT_EQ(Run("fifobus ls > /dev/null").exit, 0);
  EXPECT_TRUE(WaitUntil([&] {
    return Run("fifobus ls --json | grep -q 'names_refused\": *200'").exit == 0;
  }));
  // It does not wait for ever for its log when it ends, either.
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

}  // namespace
}  // namespace fifobus
