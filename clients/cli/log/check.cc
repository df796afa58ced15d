#include <memory>
#include <string>
#include <vector>

#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/log/log_commands.h"
#include "clients/cli/log/stored_log.h"
#include "clients/cli/state_directory.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct CheckOptions {
  StateOptions state;
  std::vector<std::string> names;
};

// Ranges that touch are one: a log tells them batch by batch.
std::vector<MissingRange> Joined(const std::vector<MissingRange>& ranges) {
  std::vector<MissingRange> joined;
  for (const MissingRange& range : ranges) {
    if (!joined.empty() &&
        joined.back().last_offset + 1 == range.first_offset) {
      joined.back().last_offset = range.last_offset;
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

void TellTail(const StoredLog& log) {
  const LogFiles& files = log.files;
  if (log.in_use) return;  // a broker is about to write the rest
  if (files.torn_bytes > 0) {
    fmt::print(
        "{}: {} behind offset {} are torn. They were never confirmed, and the "
        "broker's next start puts them aside.\n",
        log.name, BytesText(files.torn_bytes), files.next_offset - 1);
  }
  if (files.next_offset - 1 > files.synced_offset) {
    fmt::print(
        "{}: nothing says that the last {} are on disk. The broker's next "
        "start writes them again.\n",
        log.name,
        CountText(files.next_offset - 1 - files.synced_offset, "message"));
  }
}

// Returns kFailed if the log is damaged.
Exit CheckOne(const StoredLog& log) {
  const LogFiles& files = log.files;
  const CheckedLog checked = CheckLog(files.view);
  if (checked.failed) {
    return Fail(absl::DataLossError(
        fmt::format("{}: the disk could not be read to the end", log.folder)));
  }
  Exit exit = kDone;
  for (const MissingRange& range :
       Joined(WithoutTrimmed(checked.missing, *log.disk))) {
    exit = kFailed;
    fmt::print("{}: DAMAGED: {}, offset {} to {}, cannot be read.\n", log.name,
               CountText(range.count(), "stored message"), range.first_offset,
               range.last_offset);
  }
  for (const LogFiles::File& file : files.segments) {
    if (!file.header_damaged) continue;
    exit = kFailed;
    fmt::print("{}: DAMAGED: the header of {}. Its messages are not.\n",
               log.name, file.name);
  }
  if (!log.readers_trouble.empty()) {
    exit = kFailed;
    fmt::print(
        "{}: DAMAGED: the positions of its durable readers are not known ({})."
        "\n",
        log.name, log.readers_trouble);
  }
  TellTail(log);
  for (const std::string& file : files.torn_files) {
    fmt::print("{}: {} was torn by a crash and is no part of the log.\n",
               log.name, file);
  }
  fmt::print("{}: {}: {}, {} in {}.\n", log.name,
             exit == kDone ? "good" : "damaged", MessagesText(files),
             BytesText(files.bytes),
             CountText(files.segments.size(), "segment"));
  return exit;
}

Exit Check(const CheckOptions& options) {
  const auto state_dir = StateDirectory(options.state.dir);
  if (!state_dir.ok()) return Fail(state_dir.status());
  std::vector<std::string> names = options.names;
  if (names.empty()) {
    auto all = LogNames(*state_dir);
    if (!all.ok()) return Fail(all.status());
    names = *std::move(all);
  }
  Exit exit = kDone;
  for (const std::string& name : names) {
    const auto log = OpenStoredLog(*state_dir, name);
    const Exit one = log.ok() ? CheckOne(*log) : Fail(log.status());
    if (one != kDone) exit = one;
  }
  return exit;
}

}  // namespace

void AddLogCheck(Command& log) {
  Command& check =
      log.Add("check", "read all of the logs and say what cannot be read");
  auto options = std::make_shared<CheckOptions>();
  options->state.AddTo(check);
  check.AddTexts("LOG", options->names, "names of logs [all]");
  check.Explain(
      "Each message is read and held against its hash. What is damaged is told "
      "by its offsets, and the exit code is then 1. A torn tail is no damage: "
      "a crash leaves one, and nothing in it was confirmed.\n\n"
      "Examples:\n"
      "  fifobus log check\n"
      "  fifobus log check orders");
  check.OnRun([options] { return Check(*options); });
}

}  // namespace fifobus::cli
