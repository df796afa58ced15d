#ifndef FIFOBUS_CLIENTS_CLI_COMMAND_H_
#define FIFOBUS_CLIENTS_CLI_COMMAND_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cli/exit.h"
#include "clients/cli/option_values.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

// The commands of the program and their options. They are parsed by CLI11,
// which only command.cc includes: its header takes seconds to compile.
namespace fifobus::cli {

// One option or operand of a command: a reference, valid as long as the
// command. Thread-compatible.
class Option {
 public:
  Option Required() const;
  Option Needs(Option other) const;
  Option Excludes(std::initializer_list<Option> others) const;

  // "-n" and "--count"; none if it is an operand.
  std::vector<std::string> names() const;
  bool is_operand() const;
  // "PATTERN" or "POLICY"; empty if it is a flag.
  std::string value_name() const;
  // "[=LEVEL]" of a flag that may have a value; empty: of all others.
  std::string optional_value_name() const;
  // The names that its value may have; empty if it may be something else.
  std::vector<std::string> choices() const;
  std::string about() const;
  bool is_required() const;
  // Whether more values than one may be given.
  bool is_list() const;
  // The first names of those that it needs, and excludes, in order.
  std::vector<std::string> needs() const;
  std::vector<std::string> excludes() const;

 private:
  friend class Command;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// Values and their names, which are literals: "latest", Overflow::kLatest.
template <typename Value>
using Choices = std::vector<std::pair<std::string_view, Value>>;

// A command with its options and the commands below it.
//
// Options are named as the help shows them: "-n,--count COUNT", "--json", or
// "TOPIC" for an operand. What they set must live as long as the command. They
// appear in the help in the order in which they are added. Thread-compatible.
class Command {
 public:
  // The program itself.
  Command(const std::string& name, const std::string& about);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // A command below this one, of which the command line must name one. The
  // hidden ones appear neither in the help nor in the manual.
  Command& Add(const std::string& name, const std::string& about);
  Command& AddHidden(const std::string& name, const std::string& about);

  Option AddFlag(const std::string& name, bool& value,
                 const std::string& about);
  Option AddText(const std::string& name, std::string& value,
                 const std::string& about);
  Option AddText(const std::string& name, std::optional<std::string>& value,
                 const std::string& about);
  // Operands.
  Option AddTexts(const std::string& name, std::vector<std::string>& values,
                  const std::string& about);
  // "A,B,C"
  Option AddCommaList(const std::string& name, std::vector<std::string>& values,
                      const std::string& about);

  // A text that `take` accepts; AddEach: any number of them, in their order.
  using Take = std::function<absl::Status(const std::string&)>;
  Option AddParsed(const std::string& name, Take take,
                   const std::string& about);
  Option AddEach(const std::string& name, Take take, const std::string& about);

  // A whole number.
  template <typename Number>
  Option AddCount(const std::string& name, Number& value, CountRange range,
                  const std::string& about) {
    return AddNumber(
        name,
        [&value](uint64_t number) { value = static_cast<Number>(number); },
        range, static_cast<uint64_t>(std::numeric_limits<Number>::max()),
        about);
  }
  // How often a second: from 1e-6 to 1e9.
  Option AddRate(const std::string& name, double& value,
                 const std::string& about);

  // "1.5s", "200ms", "2m", or seconds. A shorter one than `least` is refused.
  Option AddDuration(const std::string& name, absl::Duration& value,
                     const std::string& about,
                     absl::Duration least = absl::ZeroDuration());
  // --interval, how often to do something: at most 1000 times a second.
  Option AddInterval(absl::Duration& value, const std::string& about);

  // One of the names; AddChoices: several, with commas between.
  template <typename Value, typename Target>
  Option AddChoice(const std::string& name, Target& target,
                   const Choices<Value>& choices, const std::string& about) {
    return AddNames(
        name, NamesOf(choices), /*several=*/false,
        [&target, choices](const std::vector<size_t>& chosen) {
          target = choices[chosen.front()].second;
        },
        about);
  }
  // A flag that may have one of the names behind a =, "--confirm=stored". The
  // flag alone means the first.
  template <typename Value, typename Target>
  Option AddFlagChoice(const std::string& name, Target& target,
                       const Choices<Value>& choices,
                       const std::string& about) {
    return AddFlagNames(
        name, NamesOf(choices),
        [&target, choices](size_t chosen) { target = choices[chosen].second; },
        about);
  }
  template <typename Value>
  Option AddChoices(const std::string& name, std::vector<Value>& values,
                    const Choices<Value>& choices, const std::string& about) {
    return AddNames(
        name, NamesOf(choices), /*several=*/true,
        [&values, choices](const std::vector<size_t>& chosen) {
          values.clear();
          for (const size_t i : chosen) values.push_back(choices[i].second);
        },
        about);
  }

  // Sets what stands behind the options in --help and in the page's sections:
  //   paragraphs, which go on in DESCRIPTION,
  //   "Title:" on a line of its own, which begins a section, as "Examples:",
  //   lines indented by two spaces, which are set as they are.
  // Adds what the exit codes mean. `text` ends without a newline.
  void Explain(const std::string& text);
  void SetVersion(const std::string& version);

  // Called with the words behind the command's name before they are read.
  void OnWords(std::function<void(std::span<char*>)> prepare);
  // What only the command knows of its options: an error is wrong usage.
  void OnCheck(std::function<absl::Status()> check);
  // What the command does.
  void OnRun(std::function<Exit()> run);

  // Reads the command line and runs the command that it names; or says what is
  // wrong with it, or prints the help. REQUIRES: of the program.
  [[nodiscard]] Exit Run(int argc, char** argv);
  // Reads the words of a command line. Runs nothing.
  [[nodiscard]] absl::Status Parse(std::vector<std::string> words);
  // Gives values to an option that the command line has left alone. NotFound:
  // there is no such option.
  [[nodiscard]] absl::Status SetDefault(const std::string& name,
                                        const std::vector<std::string>& values);

  const std::string& name() const { return name_; }
  // The words that name it, such as "fifobus bench pub".
  std::string path() const;
  std::string about() const;
  std::string explanation() const;
  const Command* parent() const { return parent_; }
  // Those that the help shows.
  std::vector<const Command*> commands() const;
  std::vector<Option> options() const;
  // REQUIRES: there is one of this name.
  Option option(const std::string& name) const;

 private:
  Command(Command* parent, CLI::App* app);

  // Words lead from command to command: the last one, and what is left for it.
  struct Chosen {
    Command* command;
    std::span<char*> words;
  };
  Chosen Choose(std::span<char*> words);
  // Says that a word stands where a command should. Empty: none does.
  std::string UnknownCommand(std::span<char*> words) const;

  // `type_most` is what the number's type can hold.
  Option AddNumber(const std::string& name, std::function<void(uint64_t)> take,
                   CountRange range, uint64_t type_most,
                   const std::string& about);
  Option AddNames(const std::string& name, std::vector<std::string> names,
                  bool several,
                  std::function<void(const std::vector<size_t>&)> take,
                  const std::string& about);
  Option AddFlagNames(const std::string& name, std::vector<std::string> names,
                      std::function<void(size_t)> take,
                      const std::string& about);
  template <typename Value>
  static std::vector<std::string> NamesOf(const Choices<Value>& choices) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.emplace_back(choice.first);
    return names;
  }

  const std::string name_;
  Command* const parent_ = nullptr;
  std::unique_ptr<CLI::App> program_;  // only of the program
  CLI::App* const app_;
  std::vector<std::unique_ptr<Command>> commands_;
  std::function<void(std::span<char*>)> prepare_;
  std::function<absl::Status()> check_;
  std::function<Exit()> run_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_COMMAND_H_
