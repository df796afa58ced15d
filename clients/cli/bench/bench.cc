#include "clients/cli/bench/bench.h"

#include "clients/cli/help/manual.h"
namespace fifobus::cli {

void AddBench(CLI::App& app, Exit& exit) {
  CLI::App& bench =
      *app.add_subcommand("bench", "measure: publish or receive a load");
  bench.require_subcommand(1);
  Explain(bench,
          "Start the subscriber first, each in a terminal.\n\n"
          "Examples:\n"
          "  fifobus bench sub load --count 100000 --json\n"
          "  fifobus bench pub load --count 100000 --size 64 --batch");
  AddBenchPub(bench, exit);
  AddBenchSub(bench, exit);
}

}  // namespace fifobus::cli
