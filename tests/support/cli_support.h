#ifndef FIFOBUS_TESTS_SUPPORT_CLI_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_CLI_SUPPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/process.h"

// Running the command line as shells do.
namespace fifobus {

// What a shell command did.
struct Outcome {
  int exit = 0;
  std::string out;
  std::string err;
};

class CliTest : public testing::Test {
 protected:
  // Runs a command line of sh in which `fifobus` is the binary under test and
  // finds the bus by $FIFOBUS_DIR.
  Outcome Run(const std::string& command) const {
    const std::string out = files_.path() + "/out";
    const std::string err = files_.path() + "/err";
    Process shell(Shell(command), out, err);
    Outcome outcome;
    outcome.exit = shell.Wait();
    outcome.out = ReadFile(out);
    outcome.err = ReadFile(err);
    return outcome;
  }

  std::unique_ptr<Process> Spawn(const std::string& command,
                                 const std::string& name) const {
    return std::make_unique<Process>(Shell(command), Path(name),
                                     Path(name + ".err"));
  }

  std::string Path(const std::string& name) const {
    return files_.path() + "/" + name;
  }

  // Waits until a broker has `count` sessions with a subscription; members of a
  // group count.
  void AwaitSubscribers(const TestBus& bus, int count) const {
    EXPECT_TRUE(WaitUntil([&] {
      int subscribers = 0;
      const pb::StatsReply stats = bus.broker().CollectStats();
      for (const auto& session : stats.sessions()) {
        if (session.patterns_size() > 0) ++subscribers;
      }
      for (const auto& group : stats.groups()) {
        subscribers += static_cast<int>(group.members());
      }
      return subscribers == count;
    }));
  }

  void Use(const TestBus& bus) { dir_ = bus.dir(); }
  void UseDir(const std::string& dir) { dir_ = dir; }

 private:
  std::vector<std::string> Shell(const std::string& command) const {
    const std::string folder =
        FifobusBinary().substr(0, FifobusBinary().rfind('/'));
    return {"/bin/sh", "-c",
            fmt::format("PATH={}:$PATH; export FIFOBUS_DIR={}; {}", folder,
                        dir_, command)};
  }

  const TempDir files_;
  std::string dir_ = "/nonexistent";
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_CLI_SUPPORT_H_
