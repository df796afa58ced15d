// `fifobus serve` as a process among others: its log, its signals, its
// descriptors and its directory.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_replace.h"
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

TEST_F(ServeTest, ALogThatCannotBeWrittenHarmsNobody) {
  for (const char* err : {"2>&-", "2> /dev/full"}) {
    const auto broker = Serve(fmt::format("exec fifobus serve {}", err));
    EXPECT_EQ(Run("fifobus pub t hello --confirm").out, "accepted 0 0\n")
        << err;
    broker->Signal(SIGTERM);
    EXPECT_EQ(broker->Wait(), 0) << err;
  }
}

TEST_F(ServeTest, ASignalThatWasIgnoredAtTheStartStaysIgnored) {
  const auto broker = Serve("trap '' INT HUP; exec fifobus serve");
  for (int i = 0; i < 10; ++i) {
    broker->Signal(SIGINT);
    broker->Signal(SIGHUP);
    EXPECT_EQ(Run("fifobus pub t hello --confirm").out, "accepted 0 0\n");
  }
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
}

TEST_F(ServeTest, ADirectoryThatCannotBeABusIsNamedWithTheReason) {
  const auto refused = [&](const std::string& dir, int exit,
                           const std::string& reason) {
    const Outcome outcome = Run("fifobus serve --dir " + dir);
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    EXPECT_NE(outcome.err.find(reason), std::string::npos) << outcome.err;
  };
  refused("''", 2, "it is empty");
  ASSERT_EQ(symlink(bus().c_str(), Path("link").c_str()), 0);
  ASSERT_EQ(mkdir(bus().c_str(), 0700), 0);
  refused(Path("link"), 1, "is a symbolic link; name the directory itself");
  refused("/dev/null/bus", 1, "make directory /dev/null");
}

TEST_F(ServeTest, ClientsComeInAgainWhenTheirFolderWasRemoved) {
  const auto broker = Serve();
  for (const char* away : {"rm -r $FIFOBUS_DIR/sessions",
                           "mv $FIFOBUS_DIR/sessions $FIFOBUS_DIR/elsewhere"}) {
    ASSERT_EQ(Run(away).exit, 0);
    EXPECT_TRUE(WaitUntil([&] {
      return Run("fifobus pub t hello --confirm --timeout 1s").out ==
             "accepted 0 0\n";
    }));
  }
}

TEST_F(ServeTest, AFullFileSystemIsSaidOnceAndHealsWhenThereIsRoom) {
  const std::string disk = Path("disk");
  ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
  // A tmpfs of 30 files, in a mount namespace of the shell's own.
  const std::string script = fmt::format(
      "mount -t tmpfs -o nr_inodes=30 none {0} || exit 99; "
      "export FIFOBUS_DIR={0}/bus; fifobus serve 2> {1} & "
      "until [ -p {0}/bus/alive ]; do sleep 0.05; done; "
      "until fifobus ls > /dev/null; do sleep 0.05; done; "
      "i=0; while touch {0}/f$i; do i=$((i + 1)); done; "
      "rm {0}/f0; mkdir {0}/bus/topics/t.out; "
      "until grep -q refused {1}; do sleep 0.05; done; sleep 1; "
      "rm {0}/f*; until [ -p {0}/bus/topics/t.in ]; do sleep 0.05; done; "
      "until grep -q 'after all' {1}; do sleep 0.05; done; "
      "fifobus pub t hello --confirm; kill $!; wait $!",
      disk, Path("log"));
  const Outcome outcome = Run(fmt::format(
      "unshare -rm sh -c '{}'", absl::StrReplaceAll(script, {{"'", "'\\''"}})));
  if (outcome.exit == 99 || outcome.err.find("unshare") != std::string::npos) {
    GTEST_SKIP() << "nothing may be mounted here: " << outcome.err;
  }
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "accepted 0 0\n");
  const std::string log = ReadFile(Path("log"));
  const std::string refused =
      "tap refused: path=topics/t.in reason=\"No space left on device\"";
  EXPECT_NE(log.find(refused), std::string::npos) << log;
  EXPECT_EQ(log.find(refused), log.rfind(refused)) << log;
}

TEST_F(ServeTest, AStopSaysHowManyLinesNobodyGot) {
  auto broker = Serve();
  ASSERT_EQ(Run("fifobus path a/b").exit, 0);
  Run("for i in 1 2 3; do echo $i; done > $FIFOBUS_DIR/topics/a/b.in");
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  EXPECT_NE(Log().find("nobody had subscribed to them: "
                       "path=topics/a/b.in lines=3\n"),
            std::string::npos)
      << Log();
  EXPECT_NE(Log().find("delivered to nobody: messages=3 "
                       "lines_without_subscriber=3 "),
            std::string::npos)
      << Log();
  EXPECT_EQ(Log().find("all delivered"), std::string::npos) << Log();
}

TEST_F(ServeTest, LinesStayInAFifoThatAnotherHoldsForTheNextBroker) {
  auto broker = Serve();
  ASSERT_EQ(Run("fifobus path t").exit, 0);
  const UniqueFd writer(
      open(BusPath("topics/t.in").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(write(writer.get(), "one\ntwo\n", 8), 8);
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  EXPECT_NE(Log().find("for the next broker: path=topics/t.in bytes=8\n"),
            std::string::npos)
      << Log();
  EXPECT_NE(Log().find("all delivered"), std::string::npos) << Log();
  broker = Serve();
  EXPECT_EQ(Run("fifobus sub t -n 2").out, "one\ntwo\n");
}

TEST_F(ServeTest, AStopSaysHowManyMessagesNobodyReadFromTaps) {
  auto broker = Serve();
  ASSERT_EQ(Run("fifobus path t; cd $FIFOBUS_DIR/topics/t.out; "
                "mkfifo text two.json three.frames")
                .exit,
            0);
  Run("seq 5 | fifobus pub t --wait-subscribers 3 --confirm");
  const UniqueFd reader(open(BusPath("topics/t.out/text").c_str(),
                             O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 0);
  for (const char* name : {"two.json", "three.frames"}) {
    EXPECT_NE(Log().find(fmt::format("nobody read them from their tap: "
                                     "path=topics/t.out/{} messages=5\n",
                                     name)),
              std::string::npos)
        << Log();
  }
  EXPECT_NE(Log().find("messages_without_reader=10"), std::string::npos)
      << Log();
  EXPECT_EQ(ReadBytes(reader.get(), 10), "1\n2\n3\n4\n5\n")
      << "what has a reader is left to it";
}

TEST_F(ServeTest, AStopSaysWhatItHasNotReadOfPublishersThatItHeldBack) {
  auto broker = Serve("exec fifobus serve --drain-timeout 100ms");
  const auto stuck = Spawn("exec fifobus sub t --overflow block", "stuck");
  ASSERT_EQ(
      Run("until fifobus ls | grep -q 'fifobus sub'; do sleep 0.1; done").exit,
      0);
  stuck->Signal(SIGSTOP);
  const auto publisher = Spawn("yes | exec fifobus pub t", "publisher");
  EXPECT_TRUE(WaitUntil([&] {
    return Run("fifobus ls --json | grep -q 'holds_up\": *1'").exit == 0;
  }));
  broker->Signal(SIGTERM);
  EXPECT_EQ(broker->Wait(), 1);
  EXPECT_NE(Log().find("stopped before all was delivered"), std::string::npos);
  EXPECT_EQ(Log().find("bytes_not_read=0"), std::string::npos) << Log();
  EXPECT_NE(Log().find("bytes_not_read="), std::string::npos) << Log();
  stuck->Signal(SIGKILL);
}

}  // namespace
}  // namespace fifobus
