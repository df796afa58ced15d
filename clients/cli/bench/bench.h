#ifndef FIFOBUS_CLIENTS_CLI_BENCH_BENCH_H_
#define FIFOBUS_CLIENTS_CLI_BENCH_BENCH_H_

#include "clients/cli/command.h"

// The measuring tool: `fifobus bench pub` and `fifobus bench sub`.
namespace fifobus::cli {

void AddBenchPub(Command& bench);
void AddBenchSub(Command& bench);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BENCH_BENCH_H_
