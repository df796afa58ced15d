#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/help/completion_bash.h"
#include "clients/cli/help/manual.h"
#include "clients/cli/output.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {
namespace {

// A person waits for this with a finger on a key. Not tuned.
constexpr absl::Duration kTopicsTimeout = absl::Milliseconds(300);

// What _fifobus_value makes of an option's value; "none" for nothing, "=A B"
// for the names A and B, "?=A B" if they come behind a = or not at all. Empty:
// the option has no value.
std::string KindOf(const Option& option) {
  const bool is_optional = !option.optional_value_name().empty();
  const std::string name = option.value_name();
  if (name.empty() && !is_optional) return "";
  std::vector<std::string> choices = option.choices();
  if (choices.empty()) return name;
  std::sort(choices.begin(), choices.end());
  return (is_optional ? "?=" : "=") + absl::StrJoin(choices, " ");
}

// The case of one command in _fifobus_about.
std::string AboutCommand(const Command& program, const Command& command) {
  std::string commands;
  std::string options;
  std::string operands;
  std::string values;
  for (const Command* below : command.commands()) {
    commands += ' ' + below->name();
  }
  for (const Option& option : command.options()) {
    if (option.is_operand()) {
      operands += fmt::format(" {}{}", option.value_name(),
                              option.is_list() ? "..." : "");
      continue;
    }
    const std::string kind = KindOf(option);
    for (const std::string& name : option.names()) {
      options += ' ' + name;
      if (!kind.empty()) values += fmt::format(" [{}]='{}'", name, kind);
    }
  }
  std::string words = command.path().substr(program.name().size());
  if (!words.empty()) words.erase(0, 1);
  return fmt::format(
      "    '{}')\n      commands='{}'\n      options='{}'\n"
      "      operands='{}'\n      value=({})\n      ;;\n",
      words, commands, options, operands, values);
}

// A script for bash that completes commands, options, their values and topics.
// It knows what there was when it was made; topics it asks for.
std::string BashCompletion(const Command& program) {
  std::string script(kCompletionBash);
  script +=
      "\n# What there is behind the command $1.\n_fifobus_about() {\n"
      "  case $1 in\n";
  for (const Command* command : ShownCommands(program)) {
    script += AboutCommand(program, *command);
  }
  script += "  esac\n}\n\ncomplete -F _fifobus fifobus\n";
  return script;
}

// The names of all topics, a line each. Silent without a broker.
Exit PrintTopics(const BusOptions& bus) {
  const auto client = ConnectClient(bus, "fifobus completion");
  if (!client.ok()) return kFailed;
  const auto stats = (*client)->Stats(kTopicsTimeout);
  if (!stats.ok()) return kFailed;
  Output output;
  for (const auto& topic : stats->topics()) {
    output.text() += topic.name() + '\n';
  }
  return ExitOf(output.Flush(), kDone);
}

}  // namespace

void AddCompletion(Command& program) {
  // Hidden: it is typed once.
  Command& completion = program.AddHidden(
      "completion", "for shells: source <(fifobus completion bash)");
  completion.Add("bash", "the script for bash").OnRun([&program] {
    Output output;
    output.text() = BashCompletion(program);
    return ExitOf(output.Flush(), kDone);
  });
  Command& topics = completion.Add("topics", "what the script completes");
  auto bus = std::make_shared<BusOptions>();
  bus->AddTo(topics);
  bus->connect_timeout = kTopicsTimeout;
  topics.OnRun([bus] { return PrintTopics(*bus); });
}

}  // namespace fifobus::cli
