#include "clients/cli/help/manual.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string_view>

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

// Paragraphs, sections and lines that are set as they are, see
// Command::Explain.
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

// "PATTERN...", in brackets if it may be left out.
std::string OperandText(const Option& operand) {
  const std::string name =
      Italic(operand.value_name()) + (operand.is_list() ? "\\&..." : "");
  return operand.is_required() ? name : fmt::format("[{}]", name);
}

void AppendSynopsis(const Command& command, std::string& roff) {
  roff += fmt::format(".SH SYNOPSIS\n{} [{}]", Bold(command.path()),
                      Italic("OPTIONS"));
  for (const Option& option : command.options()) {
    if (option.is_operand()) roff += ' ' + OperandText(option);
  }
  if (!command.commands().empty()) {
    roff += fmt::format(" {} \\&...", Italic("COMMAND"));
  }
  roff += '\n';
}

// "-n, --count COUNT" or the operand's name.
std::string OptionTitle(const Option& option) {
  if (option.is_operand()) return OperandText(option);
  std::string names;
  for (const std::string& name : option.names()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", Bold(name));
  }
  const std::string optional = option.optional_value_name();
  if (!optional.empty()) return names + Italic(optional);
  const std::string value = option.value_name();
  return value.empty() ? names : names + ' ' + Italic(value);
}

// "Needs --ack."
void AppendRelated(std::string_view verb, const std::vector<std::string>& names,
                   std::string& roff) {
  if (names.empty()) return;
  std::string text;
  for (const std::string& name : names) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", Escaped(name));
  }
  roff += fmt::format("{} {}.\n", verb, text);
}

void AppendOptions(const Command& command, std::string& roff) {
  roff += ".SH OPTIONS\n";
  for (const Option& option : command.options()) {
    std::string text = option.about();
    if (!text.empty() && !text.ends_with('.')) text += '.';
    roff += fmt::format(".TP\n{}\n{}\n", OptionTitle(option), Escaped(text));
    AppendRelated("Needs", option.needs(), roff);
    AppendRelated("Not with", option.excludes(), roff);
  }
}

void AppendCommands(const Command& top, std::string& roff) {
  const std::vector<const Command*> commands = top.commands();
  if (commands.empty()) return;
  roff += ".SH COMMANDS\n";
  for (const Command* command : commands) {
    roff += fmt::format(".TP\n{}\n{}.\nSee {}(1).\n", Bold(command->name()),
                        Escaped(command->about()), Bold(PageName(*command)));
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

bool HasOption(const Command& command, std::string_view name) {
  for (const Option& option : command.options()) {
    for (const std::string& other : option.names()) {
      if (other == name) return true;
    }
  }
  return false;
}

void AppendEnvironment(const Command& command, std::string& roff) {
  if (command.parent() != nullptr && !HasOption(command, "--dir")) return;
  roff += fmt::format(
      ".SH ENVIRONMENT\n.TP\n{}\nThe bus directory, if {} is not given.\n"
      ".TP\n{}\nWhere the bus directory {} is, if nothing else says so.\n",
      Bold("FIFOBUS_DIR"), Bold("--dir"), Bold("XDG_RUNTIME_DIR"),
      Italic("fifobus"));
}

void AppendSeeAlso(const Command& command, std::string& roff) {
  const Command* program = &command;
  while (program->parent() != nullptr) program = program->parent();
  std::string pages;
  for (const Command* other : ShownCommands(*program)) {
    if (other == &command) continue;
    pages += fmt::format("{}{}(1)", pages.empty() ? "" : ",\n",
                         Bold(PageName(*other)));
  }
  roff += fmt::format(".SH SEE ALSO\n{}\n", pages);
}

// Of the program its title, "fifobus: a broker"; what is behind it is text.
std::string Summary(const Command& command) {
  const std::string text = command.about();
  const std::string line = text.substr(0, text.find('\n'));
  const std::string title = command.name() + ": ";
  return line.starts_with(title) ? line.substr(title.size()) : line;
}

std::string Sentence(std::string text) {
  if (!text.empty()) text = UpperCase(text.substr(0, 1)) + text.substr(1);
  if (!text.ends_with('.')) text += '.';
  return text;
}

}  // namespace

std::string PageName(const Command& command) {
  std::string name = command.path();
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::vector<const Command*> ShownCommands(const Command& top) {
  std::vector<const Command*> commands = {&top};
  for (const Command* command : top.commands()) {
    const std::vector<const Command*> below = ShownCommands(*command);
    commands.insert(commands.end(), below.begin(), below.end());
  }
  return commands;
}

std::string ManualPage(const Command& command) {
  std::string roff = fmt::format(
      ".TH {} 1 \"\" \"fifobus {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
      Escaped(UpperCase(PageName(command))), kVersion,
      Escaped(PageName(command)), Escaped(Summary(command)));
  AppendSynopsis(command, roff);
  roff +=
      fmt::format(".SH DESCRIPTION\n{}\n", Escaped(Sentence(Summary(command))));
  // Sections that the explanation begins come behind the others.
  const std::string about = command.about();
  if (const size_t line = about.find('\n'); line != std::string::npos) {
    AppendText(about.substr(line + 1), roff);
  }
  std::string text;
  AppendText(command.explanation(), text);
  const size_t sections = std::min(text.find(".SH "), text.size());
  roff += text.substr(0, sections);
  AppendOptions(command, roff);
  AppendCommands(command, roff);
  AppendExitStatus(roff);
  AppendEnvironment(command, roff);
  roff += text.substr(sections);
  AppendSeeAlso(command, roff);
  return roff;
}

}  // namespace fifobus::cli
