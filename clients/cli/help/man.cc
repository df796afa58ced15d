#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cli/commands.h"
#include "clients/cli/help/manual.h"
#include "clients/cli/output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct ManOptions {
  std::vector<std::string> command;
  bool list = false;
};

Exit Man(const Command& program, const ManOptions& options) {
  const std::string wanted = absl::StrJoin(
      options.command, "-", [](std::string* out, const auto& s) { *out += s; });
  Output output;
  for (const Command* command : ShownCommands(program)) {
    const std::string name = PageName(*command);
    if (options.list) {
      output.text() += name + '\n';
    } else if (name == program.name() + (wanted.empty() ? "" : "-") + wanted) {
      output.text() += ManualPage(*command);
    }
  }
  if (output.text().empty()) {
    return Fail(absl::NotFoundError(
        fmt::format("there is no command \"{}\"; see fifobus man --list",
                    absl::StrJoin(options.command, " "))));
  }
  return ExitOf(output.Flush(), kDone);
}

}  // namespace

void AddMan(Command& program) {
  // Hidden: it is for those who install fifobus.
  Command& man = program.AddHidden(
      "man", "print a manual page: fifobus man sub | man -l -");
  auto options = std::make_shared<ManOptions>();
  man.AddTexts("COMMAND", options->command,
               "whose page, such as bench pub [fifobus]");
  man.AddFlag("--list", options->list, "the names of all pages");
  man.OnRun([options, &program] { return Man(program, *options); });
}

}  // namespace fifobus::cli
