#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "clients/cli/commands.h"
#include "clients/cli/inherited_signals.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

constexpr char kAbout[] =
    "fifobus: a message broker over named pipes, for one Linux machine.\n\n"
    "  fifobus serve                      run a broker\n"
    "  fifobus sub 'sensors/**'           print what is published\n"
    "  fifobus pub sensors/temp 21.5      publish a message\n"
    "  fifobus reply time --exec date     answer requests\n"
    "  fifobus req time now               send one, print the reply\n";

// The next FIFO would take a descriptor below 3 that is closed, and what is
// printed would go to the broker. So each closed one is opened here, the wrong
// way round: reading from it or writing to it fails as it should.
void HoldStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

Exit RunCommand(int argc, char** argv) {
  Command program("fifobus", kAbout);
  program.SetVersion(std::string(kVersion));
  AddServe(program);
  AddUpgrade(program);
  AddPub(program);
  AddSub(program);
  AddReq(program);
  AddReply(program);
  AddPath(program);
  AddLs(program);
  AddTop(program);
  AddInfo(program);
  AddWhy(program);
  AddDoctor(program);
  AddMetrics(program);
  AddLog(program);
  AddBridge(program);
  AddBench(program);
  AddConformance(program);
  AddMan(program);
  AddCompletion(program);
  return program.Run(argc, argv);
}

int Main(int argc, char** argv) {
  RememberSignals();
  HoldStandardDescriptors();
  Exit exit = kDone;
  try {
    exit = RunCommand(argc, argv);
  } catch (const std::system_error& error) {
    // fmt::print throws what standard output says.
    return error.code() == std::errc::broken_pipe
               ? kDone
               : Fail(absl::UnknownError(error.what()));
  }
  if (fflush(stdout) != 0 && errno != EPIPE) {
    return Fail(absl::ErrnoToStatus(errno, "standard output"));
  }
  return exit;
}

}  // namespace
}  // namespace fifobus::cli

int main(int argc, char** argv) { return fifobus::cli::Main(argc, argv); }
