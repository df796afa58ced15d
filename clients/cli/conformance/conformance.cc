#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "clients/cli/command.h"
#include "clients/cli/conformance/trial.h"
#include "fmt/format.h"
#include "proto/json_text.h"

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

std::string ReportJson(const Requirement& requirement,
                       const absl::Status& status) {
  std::string line = R"({"name":)";
  AppendJsonText(requirement.name, line);
  line += R"(,"requirement":)";
  AppendJsonText(requirement.text, line);
  line += fmt::format(R"(,"met":{})", status.ok());
  if (!status.ok()) {
    line += R"(,"why":)";
    const std::string why(status.message());
    // What a client has sent need not be text.
    AppendJsonText(IsUtf8(why) ? why : absl::CHexEscape(why), line);
  }
  line += '}';
  return line;
}

void Report(const Requirement& requirement, const absl::Status& status,
            bool json) {
  const std::string why(status.message());
  if (json) {
    fmt::print("{}\n", ReportJson(requirement, status));
  } else if (status.ok()) {
    fmt::print("{}  met      {}\n", requirement.name, requirement.text);
  } else {
    fmt::print("{}  NOT MET  {}: {}\n", requirement.name, requirement.text,
               why);
  }
  (void)fflush(stdout);
}

std::vector<Requirement> Requirements(bool taps) {
  if (taps) return {TapRequirements().begin(), TapRequirements().end()};
  const absl::Span<const Requirement> sessions = SessionRequirements();
  const absl::Span<const Requirement> logs = LogRequirements();
  std::vector<Requirement> all(sessions.begin(), sessions.end());
  all.insert(all.end(), logs.begin(), logs.end());
  return all;
}

Exit Conformance(const ConformanceOptions& options) {
  int tried = 0;
  int met = 0;
  for (const Requirement& requirement : Requirements(options.taps)) {
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

void AddConformance(Command& program) {
  Command& conformance = program.Add(
      "conformance", "test a client of your own against the protocol");
  auto options = std::make_shared<ConformanceOptions>();
  conformance.AddTexts("CLIENT", options->command,
                       "the client's program and its first arguments; it is "
                       "run with `sub PATTERN` or `pub TOPIC` behind them");
  conformance.AddFlag("--taps", options->taps,
                      "it uses taps: lines in FIFOs, instead of a session");
  conformance.AddCommaList("--only NAMES", options->only,
                           "just these requirements: H1,S2");
  conformance.AddFlag("--list", options->list, "say what is tested, and end");
  conformance.AddFlag("--json", options->json, "one JSON object a line");
  conformance.AddFlag("--verbose", options->verbose,
                      "show what the client prints to standard error");
  conformance.Explain(
      "proto/PROTOCOL.md says what each requirement means.\n\n"
      "Examples:\n"
      "  fifobus conformance --list\n"
      "  fifobus conformance --only H1 -- python3 -m fifobus");
  conformance.OnCheck([options] {
    return options->command.empty() && !options->list
               ? absl::InvalidArgumentError(
                     "name the client: fifobus conformance -- CLIENT...")
               : absl::OkStatus();
  });
  conformance.OnRun([options] { return Conformance(*options); });
}

}  // namespace fifobus::cli
