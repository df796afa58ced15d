#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "clients/cli/bus_options.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/log/log_change.h"
#include "clients/cli/log/log_commands.h"
#include "clients/cli/start_text.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

struct ChangeOptions {
  BusOptions bus;
  StateOptions state;
  pb::LogRequest request;
  std::string log;
  std::string durable;
  std::string pattern;
  pb::Start place;

  void AddTo(Command& command) {
    bus.AddTo(command);
    state.AddTo(command);
    command.AddText("LOG", log, "its name").Required();
  }

  absl::StatusOr<pb::StatsReply::Log> Change() {
    request.set_log(log);
    return ChangeLog(bus, state.dir, request);
  }
};

Command::Take TakePlace(pb::Start& place) {
  return [&place](const std::string& text) {
    auto parsed = ParseStart(text, absl::Now());
    if (parsed.ok()) place = *parsed;
    return parsed.status();
  };
}

void PrintReader(const pb::StatsReply::Log& log, const std::string& name) {
  for (const auto& reader : log.readers()) {
    if (reader.name() != name) continue;
    fmt::print("{}: {} is at offset {}, {} behind\n", log.name(), name,
               reader.position(), CountText(reader.lag(), "message"));
  }
}

Exit Seek(ChangeOptions& options) {
  pb::LogRequest::Seek& seek = *options.request.mutable_seek();
  seek.set_durable(options.durable);
  seek.set_pattern(options.pattern);
  *seek.mutable_start() = options.place;
  const auto log = options.Change();
  if (!log.ok()) return Fail(log.status());
  PrintReader(*log, options.durable);
  return kDone;
}

Exit Forget(ChangeOptions& options) {
  options.request.mutable_forget()->set_durable(options.durable);
  const auto log = options.Change();
  if (!log.ok()) return Fail(log.status());
  fmt::print("{}: {} is forgotten\n", log->name(), options.durable);
  return kDone;
}

Exit Trim(ChangeOptions& options) {
  *options.request.mutable_trim()->mutable_before() = options.place;
  const auto log = options.Change();
  if (!log.ok()) return Fail(log.status());
  fmt::print("{}: begins at offset {}, {}, {}\n", log->name(),
             log->first_offset(),
             CountText(log->next_offset() - log->first_offset(), "message"),
             BytesText(log->bytes()));
  return kDone;
}

}  // namespace

void AddLogSeek(Command& log) {
  Command& seek =
      log.Add("seek", "have a durable reader go on at another place");
  auto options = std::make_shared<ChangeOptions>();
  options->AddTo(seek);
  seek.AddText("DURABLE", options->durable, "the reader's name").Required();
  seek.AddParsed("--to PLACE", TakePlace(options->place), kStartHelp)
      .Required();
  seek.AddText("--pattern PATTERN", options->pattern,
               "of a reader that is new [the log's]");
  seek.Explain(
      "What lies below the place counts as read, and what lies above as not "
      "read. A reader that does not exist is made. One that is in use is left "
      "alone: end its sessions first.\n\n"
      "Examples:\n"
      "  fifobus log seek orders billing --to start\n"
      "  fifobus log seek orders audit --to -1h --pattern 'orders/*'");
  seek.OnRun([options] { return Seek(*options); });
}

void AddLogForget(Command& log) {
  Command& forget = log.Add("forget", "remove a durable reader");
  auto options = std::make_shared<ChangeOptions>();
  options->AddTo(forget);
  forget.AddText("DURABLE", options->durable, "the reader's name").Required();
  forget.Explain(
      "A log that keeps messages until they are done keeps none for it any "
      "more. One that is in use is left alone.\n\n"
      "Examples:\n"
      "  fifobus log forget orders billing");
  forget.OnRun([options] { return Forget(*options); });
}

void AddLogTrim(Command& log) {
  Command& trim = log.Add("trim", "remove the oldest messages of a log");
  auto options = std::make_shared<ChangeOptions>();
  options->AddTo(trim);
  trim.AddParsed("--before PLACE", TakePlace(options->place),
                 std::string("remove what lies before: ") + kStartHelp)
      .Required();
  trim.Explain(
      "Whole segments go: a segment stays if one of its messages does. The "
      "last one goes when the next message begins another. A reader that had "
      "not read them is told how many it misses.\n\n"
      "Examples:\n"
      "  fifobus log trim orders --before -7d\n"
      "  fifobus log trim orders --before 1");
  trim.OnRun([options] { return Trim(*options); });
}

}  // namespace fifobus::cli
