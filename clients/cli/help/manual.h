#ifndef FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_
#define FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_

#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"

// What --help and the manual pages say beyond the options, from one source: the
// parser's tree and its footers.
namespace fifobus::cli {

inline constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out.";

// Sets what stands behind the options in --help and in the page's sections:
//   paragraphs, which go on in DESCRIPTION,
//   "Title:" on a line of its own, which begins a section, such as "Examples:",
//   lines indented by two spaces, which are set as they are.
// Adds what the exit codes mean. `text` ends without a newline.
void Explain(CLI::App& app, const std::string& text);

// "fifobus-bench-pub", from a subcommand of a subcommand.
std::string PageName(const CLI::App& app);

// The commands that are shown, `app` first, then what is below it.
std::vector<const CLI::App*> ShownCommands(const CLI::App& app);

// The type of an option's value for people, "POLICY"; empty if it has none.
std::string ValueName(const CLI::Option& option);

// The page of section 1, for man(1).
std::string ManualPage(const CLI::App& app);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_HELP_MANUAL_H_
