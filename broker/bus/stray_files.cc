#include "broker/bus/stray_files.h"

#include <utility>

#include "broker/base/log.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

// How often a file is looked at that may still be written. Not tuned.
constexpr absl::Duration kPoll = absl::Milliseconds(100);

}  // namespace

StrayFiles::StrayFiles(BusParts& parts, Worker& worker)
    : parts_(parts), worker_(worker) {}

absl::Status StrayFiles::Add(const std::string& path) {
  auto file = StrayFile::MoveAside(*parts_.bus, path,
                                   parts_.options.tap_line_bytes_max);
  if (!file.ok()) return file.status();
  const std::string aside = TopicsPath((*file)->aside());
  if (files_.size() >= parts_.options.stray_files_max) {
    LogWarning(
        "a regular file in place of a tap was moved aside; its lines are not "
        "published, because there are too many such files",
        {{"path", TopicsPath(path)}, {"aside", aside}});
    return absl::OkStatus();
  }
  LogWarning(
      "a regular file in place of a tap was moved aside; its lines are "
      "published",
      {{"path", TopicsPath(path)}, {"aside", aside}});
  files_.push_back(*std::move(file));
  worker_.loop().Post([this] { MoveLines(); });
  return absl::OkStatus();
}

void StrayFiles::GoOn() {
  held_ = false;
  MoveLines();
}

void StrayFiles::Export(StateWriter& state) const {
  for (const std::unique_ptr<StrayFile>& file : files_) {
    pb::state::Record record;
    *record.mutable_stray_file() = file->Export();
    state.Add(record);
  }
}

void StrayFiles::Restore(const pb::state::StrayFile& file) {
  files_.push_back(
      StrayFile::Restore(*parts_.bus, file, parts_.options.tap_line_bytes_max));
}

void StrayFiles::MoveLines() {
  if (held_) return;
  bool moved = false;
  std::erase_if(files_, [&](const std::unique_ptr<StrayFile>& file) {
    const StrayFile::Progress progress = file->MoveLines();
    moved = moved || progress == StrayFile::Progress::kMoved;
    if (progress != StrayFile::Progress::kDone) return false;
    if (file->lines_refused() > 0) {
      parts_.counters.lines_refused.Add(file->lines_refused());
      parts_.topic_stats.Find(WithoutSuffix(file->path(), kInSuffix))
          ->AddRefusedLines(file->lines_refused());
    }
    LogInfo("the lines of a file in place of a tap are published",
            {{"path", TopicsPath(file->path())},
             {"lines", file->lines()},
             {"lines_too_long", file->lines_refused()}});
    return true;
  });
  if (files_.empty() || timer_) return;
  timer_ =
      worker_.loop().RunAfter(moved ? absl::ZeroDuration() : kPoll, [this] {
        timer_.reset();
        MoveLines();
      });
}

void StrayFiles::Close() {
  if (timer_) worker_.loop().Cancel(*std::exchange(timer_, std::nullopt));
  for (const std::unique_ptr<StrayFile>& file : files_) {
    LogWarning("the rest of a file in place of a tap was not published",
               {{"aside", TopicsPath(file->aside())},
                {"lines_published", file->lines()}});
  }
  files_.clear();
}

}  // namespace fifobus
