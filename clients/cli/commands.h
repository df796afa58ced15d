#ifndef FIFOBUS_CLIENTS_CLI_COMMANDS_H_
#define FIFOBUS_CLIENTS_CLI_COMMANDS_H_

#include "clients/cli/command.h"

// The commands of the program, one function each. It adds the command to what
// is given, the program, with what it does when it is chosen.
namespace fifobus::cli {

void AddServe(Command& program);
void AddUpgrade(Command& program);
void AddPub(Command& program);
void AddSub(Command& program);
void AddReq(Command& program);
void AddReply(Command& program);
void AddPath(Command& program);
void AddLs(Command& program);
void AddTop(Command& program);
void AddInfo(Command& program);
void AddWhy(Command& program);
void AddDoctor(Command& program);
void AddMetrics(Command& program);
void AddLog(Command& program);
void AddBench(Command& program);
void AddBridge(Command& program);
void AddConformance(Command& program);
void AddMan(Command& program);
void AddCompletion(Command& program);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_COMMANDS_H_
