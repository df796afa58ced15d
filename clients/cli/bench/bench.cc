#include "clients/cli/bench/bench.h"

#include "clients/cli/commands.h"

namespace fifobus::cli {

void AddBench(Command& program) {
  Command& bench = program.Add("bench", "measure: publish or receive a load");
  bench.Explain(
      "Start the subscriber first, each in a terminal.\n\n"
      "Examples:\n"
      "  fifobus bench sub load --count 100000 --json\n"
      "  fifobus bench pub load --count 100000 --size 64 --batch");
  AddBenchPub(bench);
  AddBenchSub(bench);
}

}  // namespace fifobus::cli
