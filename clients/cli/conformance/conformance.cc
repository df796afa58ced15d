#include <memory>
#include <string>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cli/conformance/trial.h"
#include "clients/cli/help/manual.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace fifobus::cli {
namespace {

struct ConformanceOptions {
  std::vector<std::string> command;
  std::vector<std::string> only;
  bool taps = false;
  bool list = false;
  bool json = false;
  bool verbose = false;
};

bool IsWanted(const Requirement& requirement,
              const ConformanceOptions& options) {
  return options.only.empty() ||
         std::find(options.only.begin(), options.only.end(),
                   requirement.name) != options.only.end();
}

void Report(const Requirement& requirement, const absl::Status& status,
            bool json) {
  const std::string why(status.message());
  if (json) {
    nlohmann::ordered_json line = {{"name", requirement.name},
                                   {"requirement", requirement.text},
                                   {"met", status.ok()}};
    if (!status.ok()) line["why"] = why;
    fmt::print("{}\n", line.dump());
  } else if (status.ok()) {
    fmt::print("{}  met      {}\n", requirement.name, requirement.text);
  } else {
    fmt::print("{}  NOT MET  {}: {}\n", requirement.name, requirement.text,
               why);
  }
  (void)fflush(stdout);
}

Exit Conformance(const ConformanceOptions& options) {
  const auto requirements =
      options.taps ? TapRequirements() : SessionRequirements();
  int tried = 0;
  int met = 0;
  for (const Requirement& requirement : requirements) {
    if (!IsWanted(requirement, options)) continue;
    if (options.list) {
      fmt::print("{}  {}\n", requirement.name, requirement.text);
      continue;
    }
    Trial trial(options.command, options.verbose);
    requirement.trial(trial);
    ++tried;
    if (trial.status().ok()) ++met;
    Report(requirement, trial.status(), options.json);
  }
  if (options.list) return kDone;
  if (tried == 0) {
    return Fail(
        absl::NotFoundError("there is no such requirement; see --list"));
  }
  if (!options.json) fmt::print("{} of {} requirements met\n", met, tried);
  return met == tried ? kDone : kFailed;
}

}  // namespace

void AddConformance(CLI::App& app, Exit& exit) {
  CLI::App& conformance = *app.add_subcommand(
      "conformance", "test a client of your own against the protocol");
  auto options = std::make_shared<ConformanceOptions>();
  conformance.add_option("CLIENT", options->command,
                         "the client's program and its first arguments; it is "
                         "run with `sub PATTERN` or `pub TOPIC` behind them");
  conformance.add_flag("--taps", options->taps,
                       "it uses taps: lines in FIFOs, instead of a session");
  conformance
      .add_option("--only", options->only, "just these requirements: H1,S2")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAMES");
  conformance.add_flag("--list", options->list, "say what is tested, and end");
  conformance.add_flag("--json", options->json, "one JSON object a line");
  conformance.add_flag("--verbose", options->verbose,
                       "show what the client prints to standard error");
  Explain(conformance,
          "proto/PROTOCOL.md says what each requirement means.\n\n"
          "Examples:\n"
          "  fifobus conformance --list\n"
          "  fifobus conformance --only H1 -- python3 -m fifobus");
  conformance.callback([options, &exit] {
    if (options->command.empty() && !options->list) {
      exit = Fail(absl::InvalidArgumentError(
          "name the client: fifobus conformance -- CLIENT..."));
      if (exit == kFailed) exit = kUsage;
      return;
    }
    exit = Conformance(*options);
  });
}

}  // namespace fifobus::cli
