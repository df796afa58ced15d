// What `fifobus doctor` makes of a machine, a bus and a broker.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "broker/io/file_system.h"
#include "clients/cli/doctor/broker_check.h"
#include "clients/cli/doctor/bus_check.h"
#include "clients/cli/doctor/machine_check.h"
#include "clients/cli/doctor/state_check.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/version.h"
#include "tests/support/pipe_support.h"

namespace fifobus::cli {
namespace {

using Verdict = Finding::Verdict;

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(
      std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

// A machine with which nothing is wrong, and whose settings a test may change.
class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    machine_.proc = proc_.path();
    machine_.descriptors_max = 20000;
    machine_.fresh_pipe_bytes = 65536;
    machine_.grown_pipe_bytes = 1 << 20;
    machine_.now =
        absl::FromCivil(absl::CivilDay(2027, 1, 1), absl::UTCTimeZone());
    Set("sys/fs/pipe-max-size", "1048576");
    Set("sys/fs/pipe-user-pages-soft", "16384");
    Set("sys/fs/pipe-user-pages-hard", "0");
    Set("sys/fs/file-nr", "1000 0 100000");
    Set("sys/fs/inotify/max_user_instances", "128");
    Set("sys/fs/inotify/max_user_watches", "65536");
    Set("sys/fs/protected_fifos", "1");
  }

  void Set(const std::string& setting, const std::string& text) {
    Write(fmt::format("{}/{}", proc_.path(), setting), text + "\n");
  }

  const TempDir proc_;
  Machine machine_;
};

void ExpectWrong(const Finding& finding, const std::string& text,
                 const std::string& command) {
  EXPECT_EQ(finding.verdict, Verdict::kWrong) << finding.text;
  EXPECT_NE(finding.text.find(text), std::string::npos) << finding.text;
  EXPECT_EQ(finding.command, command);
}

TEST_F(MachineTest, UsualSettingsAreFine) {
  for (const Finding& finding :
       {CheckPipeLimits(machine_), CheckPipes(machine_),
        CheckDescriptors(machine_), CheckInotify(machine_),
        CheckClock(machine_)}) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.text;
    EXPECT_EQ(finding.command, "");
  }
}

TEST_F(MachineTest, SmallPipeLimitsAreNamedWithTheSettingThatMendsThem) {
  Set("sys/fs/pipe-max-size", "65536");
  ExpectWrong(CheckPipeLimits(machine_), "fs.pipe-max-size is 65.5 kB",
              "sudo sysctl -w fs.pipe-max-size=1048576");
  Set("sys/fs/pipe-max-size", "1048576");
  Set("sys/fs/pipe-user-pages-soft", "1024");
  ExpectWrong(CheckPipeLimits(machine_), "fs.pipe-user-pages-soft is 1024",
              "sudo sysctl -w fs.pipe-user-pages-soft=16384");
  Set("sys/fs/pipe-user-pages-hard", "2048");
  machine_.is_root = true;
  ExpectWrong(CheckPipeLimits(machine_), "fs.pipe-user-pages-hard is 2048",
              "sysctl -w fs.pipe-user-pages-hard=16384");
  machine_.pipes_exempt = true;
  EXPECT_EQ(CheckPipeLimits(machine_).verdict, Verdict::kOk);
}

TEST_F(MachineTest, PipesThatStaySmallAreWrong) {
  machine_.fresh_pipe_bytes = 8192;
  ExpectWrong(CheckPipes(machine_), "a new pipe holds only 8.2 kB",
              "sudo sysctl -w fs.pipe-user-pages-soft=65536");
  machine_.fresh_pipe_bytes = 65536;
  machine_.grown_pipe_bytes = 65536;
  ExpectWrong(CheckPipes(machine_), "should grow to 1.0 MB holds 65.5 kB",
              "sudo sysctl -w fs.pipe-user-pages-soft=65536");
  machine_.fresh_pipe_bytes = 0;
  EXPECT_EQ(CheckPipes(machine_).verdict, Verdict::kWrong);
}

TEST_F(MachineTest, FewDescriptorsAreWrong) {
  machine_.descriptors_max = 256;
  ExpectWrong(CheckDescriptors(machine_), "256 open, which is enough for 128",
              "sudo prlimit --pid $$ --nofile=65536:65536");
  machine_.descriptors_max = 1024;
  Set("sys/fs/file-nr", "99000 0 100000");
  ExpectWrong(CheckDescriptors(machine_), "99000 of the machine's 100000",
              "sudo sysctl -w fs.file-max=200000");
}

TEST_F(MachineTest, InotifyThatFailsNamesTheLimitThatIsReached) {
  machine_.watch = absl::ResourceExhaustedError(
      "inotify_init1; see fs.inotify.max_user_instances");
  ExpectWrong(CheckInotify(machine_), "max_user_instances",
              "sudo sysctl -w fs.inotify.max_user_instances=512");
  machine_.watch = absl::ResourceExhaustedError("watch /");
  ExpectWrong(CheckInotify(machine_), "max_user_watches",
              "sudo sysctl -w fs.inotify.max_user_watches=262144");
  machine_.watch = absl::OkStatus();
  Set("sys/fs/inotify/max_user_watches", "100");
  ExpectWrong(CheckInotify(machine_), "max_user_watches is 100",
              "sudo sysctl -w fs.inotify.max_user_watches=65536");
}

TEST_F(MachineTest, ClockThatStandsAtTheBeginningIsWrong) {
  machine_.now = absl::UnixEpoch() + absl::Hours(1);
  ExpectWrong(CheckClock(machine_), "it says 19",
              "sudo timedatectl set-ntp true");
}

TEST_F(MachineTest, RealMachineAnswersEachQuestion) {
  const Machine machine = ThisMachine();
  EXPECT_GT(machine.descriptors_max, 0u);
  EXPECT_GT(machine.fresh_pipe_bytes, 0u);
  EXPECT_GE(machine.grown_pipe_bytes, machine.fresh_pipe_bytes);
  EXPECT_GT(ReadNumber(machine, "sys/fs/pipe-max-size"), 0u);
  EXPECT_EQ(CheckClock(machine).verdict, Verdict::kOk);
}

// A bus without a broker, as a broker that has ended leaves it.
class BusCheckTest : public MachineTest {
 protected:
  BusCheckTest() {
    std::filesystem::create_directories(Path("sessions"));
    std::filesystem::create_directories(Path("topics/a/b.out"));
    MakeFifo(Path("topics/a/b.in"));
    MakeFifo(Path("topics/a/b.out/me"));
    for (const char* folder :
         {"", "sessions", "topics", "topics/a", "topics/a/b.out"}) {
      Chmod(folder, 0700);
    }
  }

  std::string Path(const std::string& name) const {
    return name.empty() ? dir_.path() : dir_.path() + "/" + name;
  }
  void Chmod(const std::string& name, mode_t mode) {
    ASSERT_EQ(chmod(Path(name).c_str(), mode), 0);
  }
  BusFiles Look() const { return LookAtBus(dir_.path()); }

  const TempDir dir_;
};

TEST_F(BusCheckTest, UntouchedBusIsFine) {
  const BusFiles bus = Look();
  EXPECT_TRUE(bus.complete);
  EXPECT_FALSE(bus.runs);
  EXPECT_EQ(bus.files.size(), 6u);
  for (const Finding& finding :
       {CheckFileSystem(dir_.path()), CheckDirectory(bus),
        CheckFiles(machine_, bus), CheckProtectedFifos(machine_, bus),
        CheckLeftovers(machine_, bus)}) {
    EXPECT_EQ(finding.verdict, Verdict::kOk) << finding.text;
  }
}

TEST_F(BusCheckTest, MissingDirectoryIsFineAndAFileInItsPlaceIsNot) {
  EXPECT_EQ(CheckDirectory(LookAtBus(Path("none"))).verdict, Verdict::kOk);
  EXPECT_EQ(CheckFileSystem(Path("none/below")).verdict, Verdict::kOk);
  Write(Path("file"), "");
  ExpectWrong(CheckDirectory(LookAtBus(Path("file"))), "is no directory",
              fmt::format("rm '{}'", Path("file")));
  ASSERT_EQ(symlink(dir_.path().c_str(), Path("link").c_str()), 0);
  ExpectWrong(CheckDirectory(LookAtBus(Path("link"))), "is a symbolic link",
              fmt::format("rm '{}'", Path("link")));
}

TEST_F(BusCheckTest, OpenDirectoryIsWrong) {
  Chmod("", 0750);
  ExpectWrong(CheckDirectory(Look()), "is open to other users",
              fmt::format("chmod 700 '{}'", dir_.path()));
}

TEST_F(BusCheckTest, OtherUsersFilesAreWrong) {
  BusFiles bus = Look();
  bus.status.st_uid = 4711;
  for (BusFiles::File& file : bus.files) file.status.st_uid = 4711;
  ExpectWrong(
      CheckDirectory(bus), "belongs to user 4711",
      fmt::format("sudo -u 4711 fifobus doctor --dir '{}'", dir_.path()));
  for (BusFiles::File& file : bus.files) file.status.st_uid = 4712;
  const Finding finding = CheckFiles(machine_, bus);
  ExpectWrong(finding,
              "belongs to user 4712, whom the broker does not trust, "
              "and 5 others",
              fmt::format("sudo chown 4711 '{}'", bus.files[0].path));
}

TEST_F(BusCheckTest, FilesThatTheBrokerRefusesAreWrong) {
  ASSERT_EQ(symlink("/dev/null", Path("topics/x.in").c_str()), 0);
  ExpectWrong(CheckFiles(machine_, Look()), "is a symbolic link",
              fmt::format("rm '{}'", Path("topics/x.in")));
  unlink(Path("topics/x.in").c_str());
  ASSERT_EQ(link(Path("topics/a/b.in").c_str(), Path("other").c_str()), 0);
  EXPECT_EQ(CheckFiles(machine_, Look()).verdict, Verdict::kWrong);
  unlink(Path("other").c_str());
  EXPECT_EQ(CheckFiles(machine_, Look()).verdict, Verdict::kOk);
}

TEST_F(BusCheckTest, ModeThatShutsOutTheBrokerIsWrongUnlessItIsRoot) {
  BusFiles bus = Look();
  bus.status.st_uid = 4711;
  for (BusFiles::File& file : bus.files) {
    file.status.st_uid = 4711;
    if (file.path.ends_with("b.in")) file.status.st_mode = S_IFIFO | 0200;
  }
  ExpectWrong(CheckFiles(machine_, bus), "has mode 0200",
              fmt::format("chmod u+rw '{}'", Path("topics/a/b.in")));
  bus.status.st_uid = 0;
  for (BusFiles::File& file : bus.files) file.status.st_uid = 0;
  EXPECT_EQ(CheckFiles(machine_, bus).verdict, Verdict::kOk);
}

TEST_F(BusCheckTest, ProtectedFifosMattersInStickyFoldersOnly) {
  Chmod("topics/a", 01777);
  ExpectWrong(CheckProtectedFifos(machine_, Look()),
              "fs.protected_fifos is 1 and",
              fmt::format("chmod -t '{}'", Path("topics/a")));
  Chmod("topics/a", 01770);
  EXPECT_EQ(CheckProtectedFifos(machine_, Look()).verdict, Verdict::kOk);
  Set("sys/fs/protected_fifos", "2");
  EXPECT_EQ(CheckProtectedFifos(machine_, Look()).verdict, Verdict::kWrong);
  Set("sys/fs/protected_fifos", "0");
  EXPECT_EQ(CheckProtectedFifos(machine_, Look()).verdict, Verdict::kOk);
}

TEST_F(BusCheckTest, LeftoversOfAKilledBrokerAreWrong) {
  MakeFifo(Path("sessions/1-2-3.up"));
  MakeFifo(Path("sessions/1-2-3.down"));
  ExpectWrong(CheckLeftovers(machine_, Look()), "2 session FIFOs",
              fmt::format("fifobus serve --dir '{}'", dir_.path()));
  BusFiles bus = Look();
  bus.runs = true;
  for (BusFiles::File& file : bus.files) {
    file.status.st_ctim = absl::ToTimespec(machine_.now);
  }
  EXPECT_EQ(CheckLeftovers(machine_, bus).verdict, Verdict::kOk);
  machine_.now += absl::Minutes(5);
  EXPECT_EQ(CheckLeftovers(machine_, bus).verdict, Verdict::kWrong);
}

TEST_F(BusCheckTest, LinesThatATapRefusedAreLeftovers) {
  const std::string path = Path("topics/a/b.in.aside-1");
  Write(path, "a line");
  machine_.now = absl::Now() + absl::Minutes(5);
  ExpectWrong(CheckLeftovers(machine_, Look()), "lines that its tap did not",
              fmt::format("less '{0}' && rm '{0}'", path));
}

TEST_F(MachineTest, RemoteFileSystemsAreKnownByTheirNumbers) {
  EXPECT_EQ(RemoteFileSystem(0x6969), "NFS");
  EXPECT_EQ(RemoteFileSystem(0x01021994), "");  // tmpfs
}

TEST_F(MachineTest, AnotherReleaseOfTheBrokerIsWrong) {
  EXPECT_EQ(CheckVersion(kVersion, 7).verdict, Verdict::kOk);
  ExpectWrong(CheckVersion("0.0.1", 7), "the broker has 0.0.1",
              "kill 7; fifobus serve");
}

TEST_F(MachineTest, SmallPipesOfARunningBrokerAreWrong) {
  pb::StatsReply stats;
  EXPECT_EQ(CheckBrokerPipes(machine_, stats).verdict, Verdict::kOk);
  stats.add_sessions()->mutable_queue()->set_pipe_bytes(65536);
  stats.add_taps()->mutable_queue()->set_pipe_bytes(65536);
  EXPECT_EQ(CheckBrokerPipes(machine_, stats).verdict, Verdict::kOk);
  stats.add_taps()->mutable_queue()->set_pipe_bytes(4096);
  ExpectWrong(CheckBrokerPipes(machine_, stats), "1 of 3 pipes",
              "sudo sysctl -w fs.pipe-user-pages-soft=65536");
}

TEST_F(MachineTest, DescriptorsOfARunningBrokerAreCounted) {
  Set("7/limits",
      "Limit                     Soft Limit           Hard Limit      Units\n"
      "Max open files            10                   20              files");
  for (int fd = 0; fd < 10; ++fd) Set(fmt::format("7/fd/{}", fd), "");
  ExpectWrong(CheckBrokerDescriptors(machine_, 7), "10 of 10 are in use",
              "sudo prlimit --pid 7 --nofile=40:40");
  EXPECT_EQ(CheckBrokerDescriptors(machine_, 8).verdict, Verdict::kNote);
}

TEST_F(MachineTest, LogInTroubleIsWrong) {
  pb::StatsReply stats;
  stats.add_logs()->set_name("fine");
  EXPECT_EQ(CheckBrokerLogs(stats).verdict, Verdict::kOk);
  auto* const log = stats.add_logs();
  log->set_name("orders");
  log->set_trouble("the disk is full");
  ExpectWrong(CheckBrokerLogs(stats), "orders stores nothing: the disk is full",
              "fifobus log check orders");
}

TEST_F(BusCheckTest, StateDirectoryIsLookedAtWithoutMakingIt) {
  const std::string dir = Path("none/state");
  const Findings findings = CheckState(machine_, dir);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].verdict, Verdict::kOk) << findings[0].text;
  EXPECT_FALSE(std::filesystem::exists(Path("none")));
  Write(Path("file"), "");
  EXPECT_EQ(CheckState(machine_, Path("file")).front().verdict,
            Verdict::kWrong);
}

}  // namespace
}  // namespace fifobus::cli
