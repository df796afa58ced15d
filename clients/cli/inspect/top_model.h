#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_TOP_MODEL_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_TOP_MODEL_H_

#include <cstddef>
#include <string>
#include <vector>

#include "clients/cli/inspect/bus_view.h"

// What `fifobus top` shows, without a terminal: tables made of two answers to
// Stats.
namespace fifobus::cli {

enum class TopPane { kTopics, kClients, kCounters, kLogs };
inline constexpr size_t kTopPanes = 4;

struct TopColumn {
  std::string title;
  size_t width = 0;      // of the narrowest column that is worth showing
  bool is_text = false;  // left-aligned, and sorted from A on
  bool is_pid = false;   // a filter finds it as it finds text
};

struct TopCell {
  std::string text;
  double number = 0;  // what it is sorted by, unless the column is text
};

struct TopRow {
  std::vector<TopCell> cells;
  bool alarm = false;  // a subscriber that is stalled or stuck, a log that
                       // stores nothing
};

struct TopTable {
  std::vector<TopColumn> columns;
  std::vector<TopRow> rows;
};

// How the user wants to see a pane.
struct TopChoice {
  size_t sort_column = 0;
  bool reversed = false;  // the other way round than usual
  std::string filter;     // rows with this in a text or pid; empty: all
};

// The columns of a pane never change.
TopTable MakeTopTable(TopPane pane, const BusView& view,
                      const TopChoice& choice);

// Messages a second and subscribers in trouble, of the whole bus: one line.
std::string TopSummary(const BusView& view);

// A row cut to the width of a screen: the first column takes what the others
// leave, and those that have no room are left out.
std::string TopLine(const std::vector<TopColumn>& columns,
                    const std::vector<std::string>& cells, size_t width);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_TOP_MODEL_H_
