#include "clients/cli/bench.h"

namespace fifobus::cli {

void AddBench(CLI::App& app, Exit& exit) {
  CLI::App& bench =
      *app.add_subcommand("bench", "measure: publish or receive a load");
  bench.require_subcommand(1);
  bench.footer(
      "Start the subscriber first, each in a terminal:\n"
      "  fifobus bench sub load --count 1000000 --json\n"
      "  fifobus bench pub load --count 1000000 --size 64 --batch");
  AddBenchPub(bench, exit);
  AddBenchSub(bench, exit);
}

}  // namespace fifobus::cli
