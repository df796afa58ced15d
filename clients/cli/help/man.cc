#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cli/command.h"
#include "clients/cli/help/manual.h"
#include "clients/cli/output.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct ManOptions {
  std::vector<std::string> command;
  bool list = false;
};

Exit Man(const CLI::App& top, const ManOptions& options) {
  const std::string wanted = absl::StrJoin(
      options.command, "-", [](std::string* out, const auto& s) { *out += s; });
  Output output;
  for (const CLI::App* command : ShownCommands(top)) {
    const std::string name = PageName(*command);
    if (options.list) {
      output.text() += name + '\n';
    } else if (name == top.get_name() + (wanted.empty() ? "" : "-") + wanted) {
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

void AddMan(CLI::App& app, Exit& exit) {
  CLI::App& man = *app.add_subcommand(
      "man", "print a manual page: fifobus man sub | man -l -");
  man.group("");  // not shown: it is for those who install fifobus
  auto options = std::make_shared<ManOptions>();
  man.add_option("COMMAND", options->command,
                 "whose page, such as bench pub [fifobus]");
  man.add_flag("--list", options->list, "the names of all pages");
  man.callback([options, &app, &exit] { exit = Man(app, *options); });
}

}  // namespace fifobus::cli
