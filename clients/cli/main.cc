#include <signal.h>

#include "clients/cli/command.h"
#include "fmt/format.h"
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

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.";

int Main(int argc, char** argv) {
  // A reader that goes away (`| head -1`) shows as EPIPE, and is no failure.
  signal(SIGPIPE, SIG_IGN);
  CLI::App app(kAbout, "fifobus");
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);
  app.footer(kExitCodes);
  Exit exit = kDone;
  AddServe(app, exit);
  AddPub(app, exit);
  AddSub(app, exit);
  AddReq(app, exit);
  AddReply(app, exit);
  AddPath(app, exit);
  AddLs(app, exit);
  AddInfo(app, exit);
  AddWhy(app, exit);
  AddMetrics(app, exit);
  AddBench(app, exit);
  AddConformance(app, exit);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 speaks in exceptions; --help and --version are some, with code 0.
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return exit;
}

}  // namespace
}  // namespace fifobus::cli

int main(int argc, char** argv) { return fifobus::cli::Main(argc, argv); }
