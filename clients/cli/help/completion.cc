#include "clients/cli/help/completion.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cli/help/manual.h"
#include "clients/cli/output.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {
namespace {

// Somebody waits with a finger on a key.
constexpr absl::Duration kTopicsTimeout = absl::Milliseconds(300);

// What the generated function calls: how the words before the cursor are read.
// Topics may begin with $, so they are compared and quoted here: compgen -W
// would expand them.
constexpr std::string_view kScript = R"(# bash completion for fifobus.
#   source <(fifobus completion bash)
# or install its output as /usr/share/bash-completion/completions/fifobus.

# Adds those of standard input that begin with $current, quoted.
_fifobus_reply() {
  local word
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] || continue
    word=${word#"$before"}
    [[ -n $quote ]] || printf -v word %q "$word"
    COMPREPLY+=("$word")
  done
}

# Completes a value of the kind $1.
_fifobus_value() {
  case $1 in
    DIR) mapfile -t COMPREPLY < <(compgen -d -- "$current"); compopt -o filenames 2>/dev/null ;;
    FILE) mapfile -t COMPREPLY < <(compgen -f -- "$current"); compopt -o filenames 2>/dev/null ;;
    CMD | CLIENT) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    TOPIC | PATTERN) _fifobus_reply < <("$program" completion topics "${dir[@]}" 2>/dev/null) ;;
    =*) _fifobus_reply < <(printf '%s\n' ${1#=}) ;;
  esac
}

_fifobus() {
  local program=${COMP_WORDS[0]} command= kind= word i operand=0
  local commands options operands
  local -a dir=()
  local -A value=()
  # bash has split the word at = and :, and replaces but its last part.
  local current=${COMP_LINE:0:COMP_POINT}
  current=${current##*[[:space:]]}
  local before= quote=
  case $current in --*=*) before=${current%%=*}=; current=${current#"$before"}; before= ;; esac
  case $current in [\'\"]*) quote=${current:0:1}; current=${current:1} ;; esac
  [[ -n $quote || $current != *[:=]* ]] || before=${current%"${current##*[:=]}"}
  COMPREPLY=()
  _fifobus_about "$command"
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = || $word == : ]]; then
      continue
    elif [[ -n $kind ]]; then
      [[ $kind != DIR ]] || dir=(--dir "$word")
      kind=
    elif [[ $word == -* ]]; then
      kind=${value[$word]}
    elif [[ " $commands " == *" $word "* ]]; then
      command+=${command:+ }$word
      _fifobus_about "$command"
    else
      ((operand++))
    fi
  done
  if [[ -n $kind ]]; then
    _fifobus_value "$kind"
  elif [[ $current == -* ]]; then
    _fifobus_reply < <(printf '%s\n' $options)
  elif [[ -n $commands ]]; then
    _fifobus_reply < <(printf '%s\n' $commands)
  else
    local -a kinds=($operands)
    word=${kinds[operand]}
    # The last one may be given again and again.
    [[ -n $word || $operands != *... ]] || word=${kinds[-1]}
    _fifobus_value "${word%...}"
  fi
}

)";

// The values that an option takes, if CLI11 checks them by name:
// "POLICY:value in {block->4,latest->2} OR {4,2}".
std::string Choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find(":value in {");
  if (begin == std::string::npos) return "";
  std::string choices;
  std::string_view rest = std::string_view(type).substr(type.find('{') + 1);
  rest = rest.substr(0, rest.find('}'));
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    choices += fmt::format("{}{}", choices.empty() ? "" : " ",
                           item.substr(0, item.find("->")));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
  }
  return '=' + choices;
}

// What _fifobus_value makes of an option's value; "none" for nothing.
std::string KindOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "";
  const std::string choices = Choices(option);
  if (!choices.empty()) return choices;
  const std::string name = ValueName(option);
  return name.empty() ? "none" : name;
}

// The case of one command in _fifobus_about.
std::string AboutCommand(const CLI::App& top, const CLI::App& app) {
  std::string commands;
  std::string options;
  std::string operands;
  std::string values;
  for (const CLI::App* command : ShownCommands(app)) {
    if (command->get_parent() == &app) commands += ' ' + command->get_name();
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    if (option->get_positional()) {
      operands += fmt::format(" {}{}", option->get_name(true),
                              option->get_expected_max() > 1 ? "..." : "");
      continue;
    }
    std::vector<std::string> names;
    for (const auto& name : option->get_snames()) names.push_back('-' + name);
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : names) {
      options += ' ' + name;
      const std::string kind = KindOf(*option);
      if (!kind.empty()) values += fmt::format(" [{}]='{}'", name, kind);
    }
  }
  std::string name = PageName(app).substr(top.get_name().size());
  for (char& c : name) {
    if (c == '-') c = ' ';
  }
  return fmt::format(
      "    '{}')\n      commands='{}'\n      options='{}'\n"
      "      operands='{}'\n      value=({})\n      ;;\n",
      name.empty() ? name : name.substr(1), commands, options, operands,
      values);
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

std::string BashCompletion(const CLI::App& app) {
  std::string script(kScript);
  script +=
      "# What there is behind the command $1.\n_fifobus_about() {\n"
      "  case $1 in\n";
  for (const CLI::App* command : ShownCommands(app)) {
    script += AboutCommand(app, *command);
  }
  script += "  esac\n}\n\ncomplete -F _fifobus fifobus\n";
  return script;
}

void AddCompletion(CLI::App& app, Exit& exit) {
  CLI::App& completion = *app.add_subcommand(
      "completion", "for shells: source <(fifobus completion bash)");
  completion.group("");  // not shown: it is typed once
  completion.require_subcommand(1);
  completion.add_subcommand("bash", "the script for bash")
      ->callback([&app, &exit] {
        Output output;
        output.text() = BashCompletion(app);
        exit = ExitOf(output.Flush(), kDone);
      });
  CLI::App& topics =
      *completion.add_subcommand("topics", "what the script completes");
  auto bus = std::make_shared<BusOptions>();
  bus->AddTo(topics);
  bus->connect_timeout = kTopicsTimeout;
  topics.callback([bus, &exit] { exit = PrintTopics(*bus); });
}

}  // namespace fifobus::cli
