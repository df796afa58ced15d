#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/inspect/stats_json.h"
#include "clients/cli/log/log_commands.h"
#include "clients/cli/log/stored_log.h"
#include "clients/cli/state_directory.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct LsOptions {
  StateOptions state;
  bool json = false;
};

void PrintTitles() {
  fmt::print("{:<24} {:>12} {:>12} {:>12} {:>10} {:>8} {:<19} {:<19}\n", "LOG",
             "MESSAGES", "FIRST", "NEXT", "BYTES", "SEGMENTS", "OLDEST",
             "NEWEST");
}

void PrintRow(const StoredLog& log) {
  const pb::StatsReply::Log description = DescribeLog(log);
  const bool empty = description.first_offset() == description.next_offset();
  fmt::print("{:<24} {:>12} {:>12} {:>12} {:>10} {:>8} {:<19} {:<19}\n",
             log.name, description.next_offset() - description.first_offset(),
             description.first_offset(), description.next_offset(),
             BytesText(description.bytes()), description.segments(),
             LogTimeText(description.first_time_unix_nanos()),
             LogTimeText(empty ? 0 : log.files.last_time_unix_nanos));
  for (const auto& reader : description.readers()) {
    fmt::print("  {:<22} {} behind, at offset {}\n", reader.name(),
               CountText(reader.lag(), "message"), reader.position());
  }
}

Exit Ls(const LsOptions& options) {
  const auto state_dir = StateDirectory(options.state.dir);
  if (!state_dir.ok()) return Fail(state_dir.status());
  const auto names = LogNames(*state_dir);
  if (!names.ok()) return Fail(names.status());
  Exit exit = kDone;
  std::vector<std::string> parts;
  if (!options.json) PrintTitles();
  for (const std::string& name : *names) {
    const auto log = OpenStoredLog(*state_dir, name);
    if (!log.ok()) {
      exit = Fail(log.status());
    } else if (options.json) {
      parts.push_back(PartJson(DescribeLog(*log), {}));
    } else {
      PrintRow(*log);
    }
  }
  if (options.json)
    fmt::print("{{\"logs\":[{}]}}\n", absl::StrJoin(parts, ","));
  return exit;
}

struct InfoOptions {
  StateOptions state;
  std::string name;
  bool json = false;
};

void Line(std::string_view title, std::string_view text) {
  fmt::print("  {:<12} {}\n", title, text);
}

void PrintInfo(const StoredLog& log) {
  const LogFiles& files = log.files;
  const pb::StatsReply::Log description = DescribeLog(log);
  fmt::print("log {}\n", log.name);
  Line("folder", log.folder);
  Line("broker", log.in_use ? "has it open" : "none has it open");
  Line("messages", MessagesText(files));
  Line("on disk", fmt::format("at least up to offset {}", files.synced_offset));
  if (files.next_offset > files.first_offset) {
    Line("oldest", LogTimeText(description.first_time_unix_nanos()));
    Line("newest", LogTimeText(files.last_time_unix_nanos));
  }
  Line("size", fmt::format("{} in {}", BytesText(files.bytes),
                           CountText(files.segments.size(), "segment")));
  for (const LogFiles::File& file : files.segments) {
    Line("segment", fmt::format("{} from offset {}, {}{}", file.name,
                                file.base_offset, BytesText(file.bytes),
                                file.header_damaged ? ", header damaged" : ""));
  }
  for (const std::string& file : files.torn_files) Line("torn", file);
  for (const auto& reader : description.readers()) {
    Line("reader",
         fmt::format("{} of {}{}: {} behind, at offset {}", reader.name(),
                     reader.pattern(),
                     reader.group().empty() ? "" : ", group " + reader.group(),
                     CountText(reader.lag(), "message"), reader.position()));
  }
  if (!log.readers_trouble.empty()) {
    Line("readers", "not known: " + log.readers_trouble);
  }
}

Exit Info(const InfoOptions& options) {
  const auto state_dir = StateDirectory(options.state.dir);
  if (!state_dir.ok()) return Fail(state_dir.status());
  const auto log = OpenStoredLog(*state_dir, options.name);
  if (!log.ok()) return Fail(log.status());
  if (options.json) {
    fmt::print("{}\n", PartJson(DescribeLog(*log), {}));
  } else {
    PrintInfo(*log);
  }
  return kDone;
}

}  // namespace

void AddLogLs(Command& log) {
  Command& ls = log.Add("ls", "list the logs on disk");
  auto options = std::make_shared<LsOptions>();
  options->state.AddTo(ls);
  ls.AddFlag("--json", options->json, "one JSON object");
  ls.Explain(
      "FIRST is the offset of the oldest message that is kept, and NEXT the "
      "one that the next message gets. fifobus ls also shows what a running "
      "broker knows, such as publishers that wait.\n\n"
      "Examples:\n"
      "  fifobus log ls\n"
      "  fifobus log ls --json | python3 -m json.tool");
  ls.OnRun([options] { return Ls(*options); });
}

void AddLogInfo(Command& log) {
  Command& info = log.Add("info", "all about one log on disk");
  auto options = std::make_shared<InfoOptions>();
  options->state.AddTo(info);
  info.AddText("LOG", options->name, "its name").Required();
  info.AddFlag("--json", options->json, "one JSON object");
  info.Explain(
      "Examples:\n"
      "  fifobus log info orders");
  info.OnRun([options] { return Info(*options); });
}

}  // namespace fifobus::cli
