#include "clients/cli/help/manual.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>
#include <string_view>

#include "clients/cli/command.h"
#include "fmt/format.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

// Text as roff(7) shows it: its own hyphens, quotes and backslashes are those
// of a terminal, so that examples can be pasted.
std::string Escaped(std::string_view text) {
  std::string roff;
  if (text.starts_with('.') || text.starts_with('\'')) roff += "\\&";
  for (const char c : text) {
    switch (c) {
      case '\\':
        roff += "\\e";
        break;
      case '-':
        roff += "\\-";
        break;
      case '\'':
        roff += "\\(aq";
        break;
      case '`':
        roff += "\\(ga";
        break;
      case '^':
        roff += "\\(ha";
        break;
      case '~':
        roff += "\\(ti";
        break;
      default:
        roff += c;
    }
  }
  return roff;
}

std::string Bold(std::string_view text) {
  return fmt::format("\\fB{}\\fR", Escaped(text));
}

std::string Italic(std::string_view text) {
  return fmt::format("\\fI{}\\fR", Escaped(text));
}

std::string UpperCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return text;
}

bool IsTitle(const std::string& line) {
  return line.ends_with(':') && !line.starts_with(' ') &&
         line.find(". ") == std::string::npos;
}

// Paragraphs, sections and lines that are set as they are, see Explain.
void AppendText(const std::string& text, std::string& roff) {
  std::istringstream lines(text);
  bool literal = false;
  bool paragraph = true;  // one is to begin
  for (std::string line; std::getline(lines, line);) {
    if (line == kExitCodes) continue;
    const bool indented = line.starts_with("  ");
    if (indented != literal) {
      roff += indented ? ".PP\n.RS 4\n.EX\n" : ".EE\n.RE\n";
      literal = indented;
      paragraph = !indented;
    }
    if (literal) {
      roff += Escaped(line.substr(2)) + '\n';
    } else if (line.empty()) {
      paragraph = true;
    } else if (IsTitle(line)) {
      line.pop_back();
      roff += fmt::format(".SH {}\n", Escaped(UpperCase(line)));
      paragraph = false;
    } else {
      if (paragraph) roff += ".PP\n";
      roff += Escaped(line) + '\n';
      paragraph = false;
    }
  }
  if (literal) roff += ".EE\n.RE\n";
}

std::string CommandName(const CLI::App& app) {
  return app.get_parent() == nullptr
             ? app.get_name()
             : CommandName(*app.get_parent()) + ' ' + app.get_name();
}

// "PATTERN...", in brackets if it may be left out.
std::string OperandText(const CLI::Option& operand) {
  const std::string name = Italic(operand.get_name(/*positional=*/true)) +
                           (operand.get_expected_max() > 1 ? "\\&..." : "");
  return operand.get_required() ? name : fmt::format("[{}]", name);
}

void AppendSynopsis(const CLI::App& app, std::string& roff) {
  roff += fmt::format(".SH SYNOPSIS\n{} [{}]", Bold(CommandName(app)),
                      Italic("OPTIONS"));
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) roff += ' ' + OperandText(*option);
  }
  if (app.get_require_subcommand_min() > 0) {
    roff += fmt::format(" {} \\&...", Italic("COMMAND"));
  }
  roff += '\n';
}

// "-n, --count COUNT" or the operand's name.
std::string OptionTitle(const CLI::Option& option) {
  if (option.get_positional()) return OperandText(option);
  std::string names;
  for (const std::string& name : option.get_snames()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", Bold('-' + name));
  }
  for (const std::string& name : option.get_lnames()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", Bold("--" + name));
  }
  const std::string value = ValueName(option);
  return value.empty() ? names : names + ' ' + Italic(value);
}

// "Needs --ack.": the sets are in no order that would stay.
void AppendRelated(std::string_view verb, const std::set<CLI::Option*>& others,
                   std::string& roff) {
  std::set<std::string> names;
  for (const CLI::Option* other : others) names.insert(other->get_name());
  if (names.empty()) return;
  std::string text;
  for (const std::string& name : names) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", Escaped(name));
  }
  roff += fmt::format("{} {}.\n", verb, text);
}

void AppendOptions(const CLI::App& app, std::string& roff) {
  roff += ".SH OPTIONS\n";
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    std::string text = option->get_description();
    if (!text.empty() && !text.ends_with('.')) text += '.';
    roff += fmt::format(".TP\n{}\n{}\n", OptionTitle(*option), Escaped(text));
    AppendRelated("Needs", option->get_needs(), roff);
    AppendRelated("Not with", option->get_excludes(), roff);
  }
}

void AppendCommands(const CLI::App& app, std::string& roff) {
  const std::vector<const CLI::App*> commands = ShownCommands(app);
  if (commands.size() < 2) return;
  roff += ".SH COMMANDS\n";
  for (const CLI::App* command : commands) {
    if (command->get_parent() != &app) continue;
    roff += fmt::format(".TP\n{}\n{}.\nSee {}(1).\n", Bold(command->get_name()),
                        Escaped(command->get_description()),
                        Bold(PageName(*command)));
  }
}

void AppendExitStatus(std::string& roff) {
  roff += fmt::format(
      ".SH EXIT STATUS\n"
      ".TP\n{}\nAll is done.\n.TP\n{}\nIt failed, and standard error says "
      "why.\n.TP\n{}\nWrong usage.\n.TP\n{}\nThe time that was given is "
      "over.\n",
      static_cast<int>(kDone), static_cast<int>(kFailed),
      static_cast<int>(kUsage), static_cast<int>(kTimedOut));
}

void AppendEnvironment(const CLI::App& app, std::string& roff) {
  if (app.get_option_no_throw("--dir") == nullptr &&
      app.get_parent() != nullptr) {
    return;
  }
  roff += fmt::format(
      ".SH ENVIRONMENT\n.TP\n{}\nThe bus directory, if {} is not given.\n"
      ".TP\n{}\nWhere the bus directory {} is, if nothing else says so.\n",
      Bold("FIFOBUS_DIR"), Bold("--dir"), Bold("XDG_RUNTIME_DIR"),
      Italic("fifobus"));
}

void AppendSeeAlso(const CLI::App& app, std::string& roff) {
  const CLI::App* top = &app;
  while (top->get_parent() != nullptr) top = top->get_parent();
  std::string pages;
  for (const CLI::App* other : ShownCommands(*top)) {
    if (other == &app) continue;
    pages += fmt::format("{}{}(1)", pages.empty() ? "" : ",\n",
                         Bold(PageName(*other)));
  }
  roff += fmt::format(".SH SEE ALSO\n{}\n", pages);
}

// Of the top its title, "fifobus: a broker"; what is behind it is text.
std::string Summary(const CLI::App& app) {
  const std::string text = app.get_description();
  const std::string line = text.substr(0, text.find('\n'));
  const std::string title = app.get_name() + ": ";
  return line.starts_with(title) ? line.substr(title.size()) : line;
}

std::string Sentence(std::string text) {
  if (!text.empty()) text = UpperCase(text.substr(0, 1)) + text.substr(1);
  if (!text.ends_with('.')) text += '.';
  return text;
}

}  // namespace

void Explain(CLI::App& app, const std::string& text) {
  app.footer(fmt::format("{}\n\n{}", text, kExitCodes));
}

std::string PageName(const CLI::App& app) {
  std::string name = CommandName(app);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::vector<const CLI::App*> ShownCommands(const CLI::App& app) {
  std::vector<const CLI::App*> commands = {&app};
  const auto is_shown = [](const CLI::App* command) {
    return !command->get_group().empty();
  };
  for (const CLI::App* command : app.get_subcommands(is_shown)) {
    const std::vector<const CLI::App*> below = ShownCommands(*command);
    commands.insert(commands.end(), below.begin(), below.end());
  }
  return commands;
}

std::string ValueName(const CLI::Option& option) {
  // Behind it come CLI11's checks: "POLICY:value in {...}".
  return option.get_items_expected_max() == 0
             ? ""
             : option.get_type_name().substr(0,
                                             option.get_type_name().find(':'));
}

std::string ManualPage(const CLI::App& app) {
  std::string roff = fmt::format(
      ".TH {} 1 \"\" \"fifobus {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
      Escaped(UpperCase(PageName(app))), kVersion, Escaped(PageName(app)),
      Escaped(Summary(app)));
  AppendSynopsis(app, roff);
  roff += fmt::format(".SH DESCRIPTION\n{}\n", Escaped(Sentence(Summary(app))));
  // Sections that the footer begins come behind the others.
  const std::string about = app.get_description();
  if (const size_t line = about.find('\n'); line != std::string::npos) {
    AppendText(about.substr(line + 1), roff);
  }
  std::string text;
  AppendText(app.get_footer(), text);
  const size_t sections = std::min(text.find(".SH "), text.size());
  roff += text.substr(0, sections);
  AppendOptions(app, roff);
  AppendCommands(app, roff);
  AppendExitStatus(roff);
  AppendEnvironment(app, roff);
  roff += text.substr(sections);
  AppendSeeAlso(app, roff);
  return roff;
}

}  // namespace fifobus::cli
