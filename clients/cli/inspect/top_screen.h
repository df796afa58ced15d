#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_TOP_SCREEN_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_TOP_SCREEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "clients/cli/inspect/top_model.h"

namespace fifobus::cli {

// The terminal in the hands of curses(3). Given back by the destructor, and by
// std::terminate. Its owner catches signals. Single-threaded, one at a time.
class TopScreen {
 public:
  TopScreen();
  ~TopScreen();
  TopScreen(const TopScreen&) = delete;
  TopScreen& operator=(const TopScreen&) = delete;

  // Says why a screen is not possible here: standard input or output is no
  // terminal, or $TERM cannot move the cursor.
  static absl::Status Check();

  struct Contents {
    std::string heading;
    std::string summary;
    std::string footer;
    std::vector<std::string> text;  // lines below the summary
    const TopTable* table = nullptr;
    size_t sort_column = 0;
    size_t first_row = 0;
  };
  void Draw(const Contents& contents);

  // Rows of a table that the screen has room for now.
  size_t RowsOfTable() const;

  // A key of curses, or -1 if none was pressed. Does not wait.
  int Key();
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_TOP_SCREEN_H_
