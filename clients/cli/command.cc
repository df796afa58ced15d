#include "clients/cli/command.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "clients/cli/nearest_name.h"
#include "clients/cli/option_parts.h"
#include "clients/cli/option_values.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// How the help writes the names of a choice behind its value's name.
constexpr std::string_view kChoicesBegin = ":{";

// CLI11 speaks in exceptions.
void Require(const absl::Status& status) {
  if (!status.ok()) throw CLI::ValidationError(std::string(status.message()));
}

void RequireOf(const std::string& name, const absl::Status& status) {
  if (!status.ok()) {
    throw CLI::ValidationError(name, std::string(status.message()));
  }
}

std::vector<std::string> FirstNames(const std::set<CLI::Option*>& options) {
  std::set<std::string> names;
  for (const CLI::Option* option : options) names.insert(option->get_name());
  return {names.begin(), names.end()};
}

// What CLI11's errors leave to be guessed.
std::string Hint(const CLI::ParseError& error) {
  const bool is_extra =
      error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  const bool is_option =
      std::string_view(error.what()).find(": -") != std::string_view::npos;
  return is_extra && is_option ? "; text that begins with - goes behind --"
                               : "";
}

}  // namespace

Option Option::Required() const {
  option_->required();
  return *this;
}

Option Option::Needs(Option other) const {
  option_->needs(other.option_);
  return *this;
}

Option Option::Excludes(std::initializer_list<Option> others) const {
  for (const Option& other : others) option_->excludes(other.option_);
  return *this;
}

std::vector<std::string> Option::names() const {
  std::vector<std::string> names;
  for (const auto& name : option_->get_snames()) names.push_back('-' + name);
  for (const auto& name : option_->get_lnames()) names.push_back("--" + name);
  return names;
}

bool Option::is_operand() const { return option_->get_positional(); }

std::string Option::value_name() const {
  if (is_operand()) return option_->get_name(/*positional=*/true);
  if (option_->get_items_expected_max() == 0) return "";
  // CLI11 writes the checks of a value behind it: "N:POSITIVE".
  const std::string type = option_->get_type_name();
  return type.substr(0, type.find(':'));
}

std::string Option::optional_value_name() const {
  if (is_operand() || option_->get_items_expected_max() != 0) return "";
  const std::string type = option_->get_type_name();
  return type.substr(0, type.find(':'));
}

std::vector<std::string> Option::choices() const {
  const std::string type = option_->get_type_name();
  const size_t begin = type.find(kChoicesBegin);
  if (begin == std::string::npos) return {};
  const size_t names = begin + kChoicesBegin.size();
  return absl::StrSplit(type.substr(names, type.find('}') - names), ',');
}

std::string Option::about() const { return option_->get_description(); }

bool Option::is_required() const { return option_->get_required(); }

bool Option::is_list() const { return option_->get_expected_max() > 1; }

std::vector<std::string> Option::needs() const {
  return FirstNames(option_->get_needs());
}

std::vector<std::string> Option::excludes() const {
  return FirstNames(option_->get_excludes());
}

Command::Command(const std::string& name, const std::string& about)
    : name_(name),
      program_(std::make_unique<CLI::App>(about, name)),
      app_(program_.get()) {
  app_->footer(std::string(kExitCodes));
}

Command::Command(Command* parent, CLI::App* app)
    : name_(app->get_name()), parent_(parent), app_(app) {}

Command::~Command() = default;

Command& Command::Add(const std::string& name, const std::string& about) {
  app_->require_subcommand(1);
  commands_.push_back(std::unique_ptr<Command>(
      new Command(this, app_->add_subcommand(name, about))));
  return *commands_.back();
}

Command& Command::AddHidden(const std::string& name, const std::string& about) {
  Command& command = Add(name, about);
  command.app_->group("");
  return command;
}

Option Command::AddFlag(const std::string& name, bool& value,
                        const std::string& about) {
  return Option(app_->add_flag(name, value, about));
}

Option Command::AddText(const std::string& name, std::string& value,
                        const std::string& about) {
  return Option(AddTo(*app_, Spec(name), "TEXT", FirstInto(value), about));
}

Option Command::AddText(const std::string& name,
                        std::optional<std::string>& value,
                        const std::string& about) {
  return Option(AddTo(*app_, Spec(name), "TEXT", FirstInto(value), about));
}

Option Command::AddTexts(const std::string& name,
                         std::vector<std::string>& values,
                         const std::string& about) {
  CLI::Option* option = AddTo(
      *app_, Spec(name), "TEXT",
      [&values](const CLI::results_t& texts) {
        values = texts;
        return true;
      },
      about);
  return Option(option->expected(CLI::detail::expected_max_vector_size));
}

Option Command::AddCommaList(const std::string& name,
                             std::vector<std::string>& values,
                             const std::string& about) {
  const Option option = AddTexts(name, values, about);
  option.option_->delimiter(',')->allow_extra_args(false);
  return option;
}

Option Command::AddParsed(const std::string& name, Take take,
                          const std::string& about) {
  const Spec spec(name);
  return Option(AddTo(
      *app_, spec, "TEXT",
      [spec, take = std::move(take)](const CLI::results_t& texts) {
        RequireOf(spec.name(), take(texts.front()));
        return true;
      },
      about));
}

Option Command::AddEach(const std::string& name, Take take,
                        const std::string& about) {
  const Spec spec(name);
  CLI::Option* option = AddTo(
      *app_, spec, "TEXT",
      [spec, take = std::move(take)](const CLI::results_t& texts) {
        for (const std::string& text : texts) {
          RequireOf(spec.name(), take(text));
        }
        return true;
      },
      about);
  option->expected(CLI::detail::expected_max_vector_size);
  // One each time, so that an operand may follow.
  return Option(option->allow_extra_args(false));
}

Option Command::AddNumber(const std::string& name,
                          std::function<void(uint64_t)> take, CountRange range,
                          uint64_t type_most, const std::string& about) {
  CLI::Option* option = AddTo(
      *app_, Spec(name), "UINT",
      [take = std::move(take)](const CLI::results_t& texts) {
        uint64_t number = 0;
        const bool parsed = absl::SimpleAtoi(texts.front(), &number);
        if (parsed) take(number);
        return parsed;
      },
      about);
  // The help names a limit that the command sets, not that of a type.
  const std::string shown = RangeText(range);
  range.most = std::min(range.most, type_most);
  const auto check = [range](const std::string& text) {
    return CountFault(text, range);
  };
  return Option(option->check(CLI::Validator(check, shown)));
}

Option Command::AddRate(const std::string& name, double& value,
                        const std::string& about) {
  CLI::Option* option = AddTo(
      *app_, Spec(name), "N",
      [&value](const CLI::results_t& texts) {
        return absl::SimpleAtod(texts.front(), &value);
      },
      about);
  return Option(option->check(CLI::Validator(RateFault, "POSITIVE")));
}

Option Command::AddDuration(const std::string& name, absl::Duration& value,
                            const std::string& about, absl::Duration least) {
  const auto take = [&value, least](const std::string& text) {
    const auto duration = ParseWait(text, least);
    if (duration.ok()) value = *duration;
    return duration.status();
  };
  const Option option = AddParsed(name, take, about);
  option.option_->type_name("DURATION");
  return option;
}

Option Command::AddInterval(absl::Duration& value, const std::string& about) {
  return AddDuration("--interval", value, about, absl::Milliseconds(1));
}

Option Command::AddNames(const std::string& name,
                         std::vector<std::string> names, bool several,
                         std::function<void(const std::vector<size_t>&)> take,
                         const std::string& about) {
  CLI::Option* option = AddTo(
      *app_, Spec(name), "NAME",
      [names, take = std::move(take)](const CLI::results_t& texts) {
        std::vector<size_t> chosen;
        for (const std::string& text : texts) {
          chosen.push_back(Find(text, names));
        }
        take(chosen);
        return true;
      },
      about);
  option->check(OneOf(names));
  if (several) {
    option->expected(CLI::detail::expected_max_vector_size)->delimiter(',');
  }
  return Option(option);
}

Option Command::AddFlagNames(const std::string& name,
                             std::vector<std::string> names,
                             std::function<void(size_t)> take,
                             const std::string& about) {
  // CLI11 keeps the text behind the = here, and "true" if there is none.
  const auto text = std::make_shared<std::string>();
  CLI::Option* option = app_->add_flag(name, *text, about);
  option->type_name("[=LEVEL]")
      ->transform(CLI::Validator(
          [text, names](std::string& given) {
            if (given == "true") given = names.front();
            return std::string();
          },
          ""));
  option->check(OneOf(names));
  option->each([names, take = std::move(take)](const std::string& given) {
    take(Find(given, names));
  });
  return Option(option);
}

void Command::Explain(const std::string& text) {
  app_->footer(fmt::format("{}\n\n{}", text, kExitCodes));
}

void Command::SetVersion(const std::string& version) {
  app_->set_version_flag("--version", version);
}

void Command::OnWords(std::function<void(std::span<char*>)> prepare) {
  prepare_ = std::move(prepare);
}

void Command::OnCheck(std::function<absl::Status()> check) {
  check_ = std::move(check);
}

void Command::OnRun(std::function<Exit()> run) {
  run_ = std::move(run);
  app_->callback([this] {
    if (check_) Require(check_());
  });
}

Command::Chosen Command::Choose(std::span<char*> words) {
  for (const std::unique_ptr<Command>& command : commands_) {
    if (!words.empty() && command->name_ == words.front()) {
      return command->Choose(words.subspan(1));
    }
  }
  return {this, words};
}

std::string Command::UnknownCommand(std::span<char*> words) const {
  const auto word = std::find_if(words.begin(), words.end(),
                                 [](const char* w) { return *w != '-'; });
  if (commands_.empty() || word == words.end()) return "";
  std::vector<std::string_view> names;
  for (const Command* command : commands()) names.push_back(command->name());
  std::string text = fmt::format("{} has no command \"{}\"", path(), *word);
  const std::string nearest = NearestName(*word, names);
  if (!nearest.empty()) {
    text += fmt::format("; did you mean {} {}?", path(), nearest);
  }
  return text;
}

Exit Command::Run(int argc, char** argv) {
  const std::span<char*> words(argv, static_cast<size_t>(argc));
  const Chosen chosen =
      Choose(words.subspan(std::min<size_t>(1, words.size())));
  if (chosen.command->prepare_) chosen.command->prepare_(chosen.words);
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    app_->exit(success);
    return kDone;
  } catch (const CLI::ParseError& error) {
    std::string text = chosen.command->UnknownCommand(chosen.words);
    if (text.empty()) text = error.what() + Hint(error);
    app_->exit(CLI::ValidationError(text));
    return kUsage;
  }
  return chosen.command->run_();
}

absl::Status Command::Parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app_->parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return absl::OkStatus();
}

absl::Status Command::SetDefault(const std::string& name,
                                 const std::vector<std::string>& values) {
  CLI::Option* option = app_->get_option_no_throw(name);
  if (option == nullptr) {
    return absl::NotFoundError(fmt::format("there is no option {}", name));
  }
  if (option->count() > 0) return absl::OkStatus();
  try {
    option->add_result(values);
    option->run_callback();
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return absl::OkStatus();
}

std::string Command::path() const {
  return parent_ == nullptr ? name_ : parent_->path() + ' ' + name_;
}

std::string Command::about() const { return app_->get_description(); }

std::string Command::explanation() const { return app_->get_footer(); }

std::vector<const Command*> Command::commands() const {
  std::vector<const Command*> shown;
  for (const auto& command : commands_) {
    if (!command->app_->get_group().empty()) shown.push_back(command.get());
  }
  return shown;
}

std::vector<Option> Command::options() const {
  std::vector<Option> options;
  for (CLI::Option* option : app_->get_options()) {
    options.push_back(Option(option));
  }
  return options;
}

Option Command::option(const std::string& name) const {
  return Option(app_->get_option(name));
}

}  // namespace fifobus::cli
