#include "clients/cli/commands.h"
#include "clients/cli/log/log_commands.h"
#include "clients/cli/state_directory.h"

namespace fifobus::cli {

void StateOptions::AddTo(Command& command) {
  command.AddText(
      "--state-dir DIR", dir,
      std::string("the broker's state directory ") + kStateDirectoryHelp);
}

void AddLog(Command& program) {
  Command& log =
      program.Add("log", "look at the logs of durable topics, and mend them");
  log.Explain(
      "ls, info, check and export read the files, beside a running broker or "
      "without one, and change nothing. seek, forget and trim ask the broker; "
      "where none runs they do it themselves.\n\n"
      "Examples:\n"
      "  fifobus log ls\n"
      "  fifobus log check\n"
      "  fifobus log export orders --from -10");
  AddLogLs(log);
  AddLogInfo(log);
  AddLogCheck(log);
  AddLogExport(log);
  AddLogSeek(log);
  AddLogForget(log);
  AddLogTrim(log);
}

}  // namespace fifobus::cli
