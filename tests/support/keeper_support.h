#ifndef FIFOBUS_TESTS_SUPPORT_KEEPER_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_KEEPER_SUPPORT_H_

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/support/cli_support.h"

// `fifobus serve --keep` for tests.
namespace fifobus {

// A bus whose broker has a keeper, both of them processes.
class KeeperTest : public CliTest {
 protected:
  KeeperTest() { UseDir(bus()); }

  void TearDown() override {
    if (keeper_) {
      keeper_->Signal(SIGCONT);
      keeper_->Signal(SIGTERM);
      (void)keeper_->Wait();
    }
    // One without a keeper.
    if (CheckBus(bus()).ok()) kill(BrokerPid(), SIGKILL);
    if (HasFailure()) std::cerr << Log();
  }

  std::string bus() const { return folder_.path() + "/bus"; }
  std::string TopicsPath(const std::string& name) const {
    return bus() + "/topics/" + name;
  }

  void Keep(const std::string& options = "") {
    keeper_ = Spawn("exec fifobus serve --keep " + options, "keep");
    ASSERT_TRUE(WaitUntil([&] {
      return CheckBus(bus()).ok() && KnowsItServes();
    })) << Log();
  }
  std::string Log() const { return ReadFile(Path("keep.err")); }
  bool AwaitLog(const std::string& text) const {
    return WaitUntil([&] { return Log().find(text) != std::string::npos; });
  }
  size_t LogLines(const std::string& text) const {
    const std::string log = Log();
    size_t lines = 0;
    for (size_t at = log.find(text); at != std::string::npos;
         at = log.find(text, at + 1)) {
      ++lines;
    }
    return lines;
  }

  pid_t BrokerPid() const {
    return std::atoi(ReadFile(bus() + "/broker.lock").c_str());
  }
  void KillBroker() const { ASSERT_EQ(kill(BrokerPid(), SIGKILL), 0); }
  // Kills the broker and waits for the next one.
  void ReplaceBroker() const {
    const pid_t before = BrokerPid();
    KillBroker();
    AwaitOther(before);
  }
  void AwaitOther(pid_t before) const {
    ASSERT_TRUE(WaitUntil([&] {
      return BrokerPid() != before && CheckBus(bus()).ok() && KnowsItServes();
    })) << Log();
  }
  // No broker runs from now on until the keeper is continued.
  void KillBrokerAndStopKeeper() const {
    keeper_->Signal(SIGSTOP);
    const pid_t broker = BrokerPid();
    KillBroker();
    ASSERT_TRUE(WaitUntil([&] { return !CheckBus(bus()).ok(); }));
    ASSERT_EQ(BrokerPid(), broker);
  }

  // What the descriptors of the keeper are, but for the standard ones.
  std::vector<std::string> KeepersFiles() const {
    std::vector<std::string> files;
    std::error_code gone;
    for (const auto& fd : std::filesystem::directory_iterator(
             fmt::format("/proc/{}/fd", keeper_->pid()), gone)) {
      if (std::atoi(fd.path().filename().c_str()) <= STDERR_FILENO) continue;
      files.push_back(std::filesystem::read_symlink(fd.path(), gone).string());
    }
    return files;
  }
  bool Holds(const std::string& name) const {
    const std::vector<std::string> files = KeepersFiles();
    return std::count(files.begin(), files.end(), TopicsPath(name)) == 1;
  }
  // Whether the broker has told the keeper so: there is no pipe any more.
  bool KnowsItServes() const {
    const std::vector<std::string> files = KeepersFiles();
    return std::none_of(files.begin(), files.end(), [](const auto& file) {
      return file.starts_with("pipe:");
    });
  }
  void MakeTap(const std::string& topic, const std::string& name) const {
    ASSERT_EQ(Run("fifobus path " + topic).exit, 0);
    const std::string out = fmt::format("{}.out/{}", topic, name);
    MakeFifo(TopicsPath(out));
    ASSERT_TRUE(WaitUntil([&] { return Holds(topic + ".in"); }));
    if (name.ends_with(".frames")) return;
    ASSERT_TRUE(WaitUntil([&] { return Holds(out); }));
  }
  std::unique_ptr<Process> Cat(const std::string& tap,
                               const std::string& name) const {
    return Spawn("exec cat " + TopicsPath(tap), name);
  }
  bool AwaitText(const std::string& name, const std::string& text) const {
    return WaitUntil(
        [&] { return ReadFile(Path(name)).find(text) != std::string::npos; });
  }

  static bool Lives(const Process& process) {
    // A zombie has no descriptors.
    return OpenDescriptorsOf(process.pid()) > 0;
  }

  std::unique_ptr<Process> keeper_;

 private:
  const TempDir folder_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_KEEPER_SUPPORT_H_
