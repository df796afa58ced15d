#ifndef FIFOBUS_CLIENTS_CLI_LOG_LOG_COMMANDS_H_
#define FIFOBUS_CLIENTS_CLI_LOG_LOG_COMMANDS_H_

#include <string>

#include "clients/cli/command.h"

// The commands below `fifobus log`.
namespace fifobus::cli {

// Which state directory they look at.
struct StateOptions {
  std::string dir;

  void AddTo(Command& command);
};

void AddLogLs(Command& log);
void AddLogInfo(Command& log);
void AddLogCheck(Command& log);
void AddLogExport(Command& log);
void AddLogSeek(Command& log);
void AddLogTrim(Command& log);
void AddLogForget(Command& log);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_LOG_LOG_COMMANDS_H_
