#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cli/inspect/bus_view.h"
#include "clients/cli/log/log_commands.h"
#include "clients/cli/log/log_place.h"
#include "clients/cli/log/stored_log.h"
#include "clients/cli/output.h"
#include "clients/cli/start_text.h"
#include "clients/cli/state_directory.h"
#include "fmt/format.h"
#include "proto/frame.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

// What is read in one go. Not tuned.
constexpr size_t kReadBytes = size_t{1} << 20;

enum class ExportFormat { kJson, kPayload, kFrames };

struct ExportOptions {
  StateOptions state;
  std::string name;
  pb::Start from;
  pb::Start to;
  ExportFormat format = ExportFormat::kJson;
};

// Writes the messages of one log. Used once. Thread-compatible.
class Exporter {
 public:
  Exporter(const StoredLog& log, ExportFormat format)
      : log_(log), format_(format) {}

  Exit Run(uint64_t from, uint64_t end) {
    from_ = from;
    end_ = std::min(end, log_.files.next_offset);
    for (uint64_t offset = from; offset < end_ && !over();) {
      const LogReadResult read = ReadLog(log_.files.view, offset, kReadBytes);
      switch (read.outcome) {
        case LogReadOutcome::kExtents:
          for (const LogExtent& extent : read.extents) WriteExtent(extent);
          break;
        case LogReadOutcome::kTrimmed:
        case LogReadOutcome::kDamaged:
          TellMissing(read.missing);
          break;
        case LogReadOutcome::kEnd:
          return Finish();
        case LogReadOutcome::kFailed:
          (void)Finish();
          return Fail(absl::DataLossError(fmt::format(
              "{} could not be read at offset {}", log_.folder, offset)));
      }
      offset = read.next_offset;
    }
    return Finish();
  }

 private:
  bool over() const { return written_ != Output::Outcome::kWritten; }

  Exit Finish() {
    if (!over()) written_ = output_.Flush();
    return ExitOf(written_, exit_);
  }

  // A broker may have removed it since; that is no damage.
  void TellMissing(const MissingRange& range) {
    const MissingRange wanted = {std::max(range.first_offset, from_),
                                 std::min(range.last_offset, end_ - 1)};
    const bool damaged = !WithoutTrimmed({wanted}, *log_.disk).empty();
    if (damaged) exit_ = kFailed;
    Warn(fmt::format("{}, offset {} to {}, {}",
                     CountText(wanted.count(), "message"), wanted.first_offset,
                     wanted.last_offset,
                     damaged ? "cannot be read: the disk has damaged them"
                             : "were removed from the log meanwhile"));
  }

  void WriteExtent(const LogExtent& extent) {
    body_.resize(extent.bytes);
    size_t filled = 0;
    while (filled < body_.size()) {
      const DiskResult read =
          extent.file->ReadAt(extent.position + filled, body_.data() + filled,
                              body_.size() - filled);
      if (!read.ok() || read.bytes == 0) break;
      filled += read.bytes;
    }
    const uint64_t end = extent.first_offset + extent.count;
    const uint64_t next =
        WriteMessages(std::string_view(body_).substr(0, filled), extent);
    if (next < end) TellMissing({next, end - 1});
  }

  // Returns the offset of the first message that the body does not have.
  uint64_t WriteMessages(std::string_view body, const LogExtent& extent) {
    uint64_t offset = extent.first_offset;
    DeliveryView delivery;
    while (!over()) {
      const FrameExtent found = FindFrame(body, kFrameBytesMaxDefault);
      if (found.state != FrameExtent::State::kWhole) return offset;
      const std::string_view frame = body.substr(0, found.frame_bytes);
      body.remove_prefix(found.frame_bytes);
      const FrameView read = ReadWholeFrame(frame);
      if (read.fault != FrameFault::kNone) return offset;
      if (read.kind == FrameKind::kDelivery) continue;  // said here anyway
      if (read.kind != FrameKind::kMessage) return offset;
      delivery.offset = offset;
      delivery.stored_time_unix_nanos = extent.stored_time_unix_nanos;
      if (offset >= from_ && offset < end_) Write(frame, read.member, delivery);
      ++offset;
    }
    return extent.first_offset + extent.count;
  }

  void Write(std::string_view frame, std::string_view member,
             const DeliveryView& delivery) {
    std::string& out = output_.text();
    switch (format_) {
      case ExportFormat::kJson:
        AppendJsonLine(ReadMessage(member), delivery, out);
        break;
      case ExportFormat::kPayload:
        AppendPlainText(ReadMessage(member), out);
        break;
      case ExportFormat::kFrames:
        out += frame;
        break;
    }
    if (output_.full()) written_ = output_.Flush();
  }

  const StoredLog& log_;
  const ExportFormat format_;
  uint64_t from_ = 0;
  uint64_t end_ = 0;
  std::string body_;
  Output output_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  Exit exit_ = kDone;
};

Exit Export(const ExportOptions& options) {
  const auto state_dir = StateDirectory(options.state.dir);
  if (!state_dir.ok()) return Fail(state_dir.status());
  const auto log = OpenStoredLog(*state_dir, options.name);
  if (!log.ok()) return Fail(log.status());
  const auto from = FindPlace(log->files, options.from);
  if (!from.ok()) return Fail(from.status());
  const auto end = FindPlace(log->files, options.to);
  // All that there is, where that ends before.
  if (!end.ok() && !absl::IsOutOfRange(end.status())) return Fail(end.status());
  return Exporter(*log, options.format)
      .Run(*from, end.value_or(log->files.next_offset));
}

}  // namespace

void AddLogExport(Command& log) {
  Command& command = log.Add("export", "print the messages of a log on disk");
  auto options = std::make_shared<ExportOptions>();
  options->from.set_first(true);
  options->to.set_next(true);
  options->state.AddTo(command);
  command.AddText("LOG", options->name, "its name").Required();
  const auto take = [](pb::Start& place) {
    return [&place](const std::string& text) {
      auto parsed = ParseStart(text, absl::Now());
      if (parsed.ok()) place = *parsed;
      return parsed.status();
    };
  };
  command.AddParsed("--from PLACE", take(options->from),
                    std::string("begin there: ") + kStartHelp + " [start]");
  command.AddParsed("--to PLACE", take(options->to),
                    "end before this message [new]");
  command.AddChoice("--format FORMAT", options->format,
                    Choices<ExportFormat>{{"json", ExportFormat::kJson},
                                          {"payload", ExportFormat::kPayload},
                                          {"frames", ExportFormat::kFrames}},
                    "JSON lines as fifobus sub --json has them, payloads with "
                    "a newline, or the publishers' frames [json]");
  command.Explain(
      "Where messages are damaged the rest is printed, and the exit code is "
      "1.\n\n"
      "Examples:\n"
      "  fifobus log export orders > orders.json\n"
      "  fifobus log export orders --from -1h --format payload\n"
      "  fifobus log export orders --from 1 --to 100");
  command.OnRun([options] { return Export(*options); });
}

}  // namespace fifobus::cli
