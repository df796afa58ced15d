#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/attend.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/inspect/top_model.h"
#include "clients/cli/inspect/top_screen.h"
#include "clients/cli/stop_signals.h"
#include "clients/cpp/bus_locator.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// A broker that does not answer in this time is shown as away; keys wait so
// long at most.
constexpr absl::Duration kAnswerPatience = absl::Milliseconds(300);

constexpr int kEscape = 27;

using Clock = std::chrono::steady_clock;

constexpr char kKeys[] =
    "tab pane  <> sort  r reverse  / filter  p pause  h help  q quit";

// Below the summary, while it is asked for; and in the manual.
constexpr char kHelp[] =
    "  tab      the next pane: topics, clients, counters, logs\n"
    "  < and >  sort by another column, marked by *\n"
    "  r        sort the other way round\n"
    "  /        show only rows with this text or pid; esc: all\n"
    "  p        pause\n"
    "  arrows   scroll, as do page up and down, and home\n"
    "  h or ?   show these keys; any key: back\n"
    "  q        quit";

struct TopOptions {
  BusOptions bus;
  absl::Duration interval = absl::Seconds(1);
};

// What the keys change, and what the broker has said last.
class Top {
 public:
  // `dir` as the options have it.
  Top(Client& client, std::string dir)
      : client_(client), dir_option_(std::move(dir)) {}

  // Asks the broker.
  void Sample() {
    auto stats = client_.Stats(kAnswerPatience);
    const Clock::time_point now = Clock::now();
    if (!stats.ok()) {
      trouble_ = std::string(stats.status().message());
      return;
    }
    trouble_.clear();
    view_.before = std::move(view_.now);
    view_.now = *std::move(stats);
    view_.dir = FindBus(dir_option_).value_or("");
    view_.seconds =
        sampled_ ? std::chrono::duration<double>(now - *sampled_).count() : 0;
    sampled_ = now;
  }

  void Draw(TopScreen& screen) {
    const TopTable table = MakeTopTable(pane_, view_, choice());
    columns_ = table.columns.size();
    const size_t rows = screen.RowsOfTable();
    const size_t last = table.rows.size() > rows ? table.rows.size() - rows : 0;
    first_row_ = std::min(first_row_, last);
    TopScreen::Contents contents;
    contents.heading = Heading();
    contents.summary = TopSummary(view_);
    contents.footer = typing_ ? "filter: " + choice().filter + "_" : kKeys;
    if (!typing_ && !choice().filter.empty()) {
      contents.footer = fmt::format("filter \"{}\", esc clears it  {}",
                                    choice().filter, kKeys);
    }
    if (helping_) {
      contents.text = absl::StrSplit(kHelp, '\n');
    } else {
      contents.table = &table;
    }
    contents.sort_column = choice().sort_column;
    contents.first_row = first_row_;
    screen.Draw(contents);
  }

  // False: it is to end.
  bool OnKey(int key, size_t page) {
    if (typing_) {
      OnTyped(key);
      return true;
    }
    if (std::exchange(helping_, false)) return key != 'q';
    switch (key) {
      case 'q':
        return false;
      case '\t':
        pane_ =
            static_cast<TopPane>((static_cast<size_t>(pane_) + 1) % kTopPanes);
        first_row_ = 0;
        break;
      case '<':
        if (choice().sort_column > 0) --choice().sort_column;
        break;
      case '>':
        if (choice().sort_column + 1 < columns_) ++choice().sort_column;
        break;
      case 'r':
        choice().reversed = !choice().reversed;
        break;
      case '/':
        typing_ = true;
        break;
      case kEscape:
        choice().filter.clear();
        break;
      case 'p':
        paused_ = !paused_;
        break;
      case 'h':
      case '?':
        helping_ = true;
        break;
      default:
        Scroll(key, page);
    }
    return true;
  }

  bool paused() const { return paused_; }

 private:
  TopChoice& choice() { return choices_[static_cast<size_t>(pane_)]; }

  std::string Heading() const {
    constexpr std::array<const char*, kTopPanes> kNames = {"topics", "clients",
                                                           "counters"};
    std::string heading =
        fmt::format("fifobus top: {}", kNames[static_cast<size_t>(pane_)]);
    if (!view_.dir.empty()) heading += fmt::format(" of {}", view_.dir);
    if (paused_) heading += ", paused";
    if (!trouble_.empty()) {
      heading += fmt::format(", NO BROKER, trying again: {}", trouble_);
    }
    return heading;
  }

  void OnTyped(int key) {
    std::string& filter = choice().filter;
    if (key == '\n' || key == KEY_ENTER) {
      typing_ = false;
    } else if (key == kEscape) {
      filter.clear();
      typing_ = false;
    } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
      if (!filter.empty()) filter.pop_back();
    } else if (key >= ' ' && key <= '~') {
      filter += static_cast<char>(key);
    }
  }

  void Scroll(int key, size_t page) {
    const auto up = [this](size_t rows) {
      first_row_ -= std::min(first_row_, rows);
    };
    if (key == KEY_UP) up(1);
    if (key == KEY_PPAGE) up(page);
    if (key == KEY_DOWN) ++first_row_;
    if (key == KEY_NPAGE) first_row_ += page;
    if (key == KEY_HOME) first_row_ = 0;
  }

  Client& client_;
  const std::string dir_option_;
  BusView view_;
  std::optional<Clock::time_point> sampled_;
  std::string trouble_;  // why there is nothing new; empty: there is
  TopPane pane_ = TopPane::kTopics;
  // Topics by rate, clients by what is queued, counters by name.
  std::array<TopChoice, kTopPanes> choices_ = {
      TopChoice{1, false, ""}, TopChoice{3, false, ""}, TopChoice{}};
  size_t columns_ = 1;
  size_t first_row_ = 0;
  bool typing_ = false;
  bool paused_ = false;
  bool helping_ = false;
};

void Run(Client& client, Top& top, const TopOptions& options,
         const UniqueFd& signals) {
  TopScreen screen;
  Deadline next = Deadline::Now();
  while (true) {
    if (next.HasCome()) {
      if (!top.paused()) top.Sample();
      next = options.interval;
    }
    top.Draw(screen);
    std::array<pollfd, 2> fds = {
        {{STDIN_FILENO, POLLIN, 0}, {signals.get(), POLLIN, 0}}};
    // The heading says what is wrong with the session, if anything is.
    if (!AttendUntil(client, next, fds).ok()) PollUntil(fds, next);
    // A terminal that is gone is a reason to end as well.
    if (fds[1].revents != 0 || (fds[0].revents & (POLLHUP | POLLERR)) != 0) {
      return;
    }
    for (int key; (key = screen.Key()) != ERR;) {
      if (!top.OnKey(key, screen.RowsOfTable())) return;
    }
  }
}

Exit RunTop(const TopOptions& options) {
  const absl::Status possible = TopScreen::Check();
  if (!possible.ok()) return Fail(possible);
  auto client = ConnectClient(options.bus, "fifobus top");
  if (!client.ok()) return Fail(client.status());
  const auto signals = TakeStopSignals({SIGQUIT});
  if (!signals.ok()) return Fail(signals.status());
  Top top(**client, options.bus.dir);
  Run(**client, top, options, *signals);
  return kDone;
}

}  // namespace

void AddTop(Command& program) {
  Command& top = program.Add(
      "top", "watch topics, clients, counters and logs in the terminal");
  auto options = std::make_shared<TopOptions>();
  options->bus.AddTo(top);
  top.AddInterval(options->interval, "how often the broker is asked [1s]");
  top.Explain(
      "Four panes: topics, clients (sessions, taps and groups), the broker's "
      "counters, and logs with their durable readers. Subscribers that are "
      "stalled or stuck are bold, and so are logs that store nothing. "
      "It goes on when the broker is away, and says so.\n\n"
      "Keys:\n" +
      std::string(kHelp));
  top.OnRun([options] { return RunTop(*options); });
}

}  // namespace fifobus::cli
