#include "clients/cli/inspect/top_screen.h"

#include <ncurses.h>
#include <term.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

// term.h and ncurses.h define short words as macros.
#undef columns
#undef lines

namespace fifobus::cli {
namespace {

// Heading, summary, titles, footer.
constexpr int kOtherRows = 4;
// Until a key that begins with escape is known to be that key.
constexpr int kEscapeMillis = 50;

std::terminate_handler before_terminate = nullptr;

[[noreturn]] void RestoreAndTerminate() {
  endwin();
  if (before_terminate != nullptr) before_terminate();
  std::abort();
}

void Put(int row, const std::string& text, attr_t attributes = A_NORMAL) {
  if (row < 0 || row >= LINES) return;
  const auto width = static_cast<size_t>(COLS);
  std::string line = text.substr(0, width);
  line.resize(width, ' ');
  attrset(attributes);
  mvaddnstr(row, 0, line.c_str(), COLS);
  attrset(A_NORMAL);
}

}  // namespace

absl::Status TopScreen::Check() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
    return absl::FailedPreconditionError(
        "top needs a terminal; for scripts there is fifobus ls --json");
  }
  int error = 0;
  const char* name = getenv("TERM");
  const bool known = name != nullptr && *name != '\0' &&
                     setupterm(name, STDOUT_FILENO, &error) == OK;
  if (!known || cursor_address == nullptr) {
    return absl::FailedPreconditionError(
        "the terminal named by $TERM cannot move its cursor, which top needs; "
        "for scripts there is fifobus ls --json");
  }
  return absl::OkStatus();
}

TopScreen::TopScreen() {
  before_terminate = std::set_terminate(RestoreAndTerminate);
  initscr();
  cbreak();
  noecho();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  set_escdelay(kEscapeMillis);
  curs_set(0);
}

TopScreen::~TopScreen() {
  endwin();
  std::set_terminate(before_terminate);
}

void TopScreen::Draw(const Contents& contents) {
  erase();
  Put(0, contents.heading, A_BOLD);
  Put(1, contents.summary);
  for (size_t i = 0; i < contents.text.size(); ++i) {
    if (i < RowsOfTable()) Put(2 + static_cast<int>(i), contents.text[i]);
  }
  if (contents.table != nullptr) {
    const TopTable& table = *contents.table;
    const auto width = static_cast<size_t>(COLS);
    std::vector<std::string> cells;
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const char* mark = i == contents.sort_column ? "*" : "";
      cells.push_back(mark + table.columns[i].title);
    }
    Put(2, TopLine(table.columns, cells, width), A_REVERSE);
    const size_t end =
        std::min(table.rows.size(), contents.first_row + RowsOfTable());
    for (size_t i = contents.first_row; i < end; ++i) {
      cells.clear();
      for (const TopCell& cell : table.rows[i].cells) {
        cells.push_back(cell.text);
      }
      Put(3 + static_cast<int>(i - contents.first_row),
          TopLine(table.columns, cells, width),
          table.rows[i].alarm ? A_BOLD : A_NORMAL);
    }
  }
  Put(LINES - 1, contents.footer, A_DIM);
  refresh();
}

size_t TopScreen::RowsOfTable() const {
  return static_cast<size_t>(std::max(0, LINES - kOtherRows));
}

int TopScreen::Key() { return getch(); }

}  // namespace fifobus::cli
