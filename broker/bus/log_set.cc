#include "broker/bus/log_set.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/io/posix_disk.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

// How often a log is asked whether it has written what it took. Not tuned.
constexpr absl::Duration kWrittenPoll = absl::Microseconds(100);

absl::Status FolderError(const LogRule& rule, const absl::Status& status) {
  return absl::Status(
      status.code(),
      fmt::format("log \"{}\": {}; name a state directory that the broker's "
                  "user owns and can write (serve --state-dir)",
                  rule.name, std::string(status.message())));
}

}  // namespace

LogSet::LogSet(const BrokerOptions& options, size_t workers,
               ServedLog::PostToWorker post)
    : options_(options), workers_(workers), post_(std::move(post)) {}

absl::Status LogSet::SetRules(const std::vector<LogRule>& rules) {
  const absl::Status status = CheckLogRules(rules);
  if (!status.ok()) return status;
  std::vector<LogTable::Entry> entries;
  std::vector<std::shared_ptr<ServedLog>> opened;
  for (const LogRule& rule : rules) {
    std::shared_ptr<ServedLog> log = FindOpen(rule.name);
    if (!log) {
      auto fresh = Open(rule);
      if (!fresh.ok()) return fresh.status();
      log = *std::move(fresh);
      opened.push_back(log);
    }
    entries.push_back({rule.pattern, std::move(log)});
  }
  open_.insert(open_.end(), opened.begin(), opened.end());
  for (size_t i = 0; i < rules.size(); ++i) {
    entries[i].log->log().SetRule(rules[i]);
  }
  const std::vector<LogTable::Entry> before =
      std::exchange(entries_, std::move(entries));
  for (const LogTable::Entry& entry : before) {
    if (!table().Find(entry.log->name())) LayAside(*entry.log);
  }
  return absl::OkStatus();
}

void LogSet::LayAside(ServedLog& log) const {
  LogRule keep_all;
  keep_all.name = log.name();
  keep_all.pattern = log.log().rule().pattern;
  log.log().SetRule(keep_all);
  LogWarning("log not configured any more: it takes nothing, its files stay",
             {{"log", log.name()},
              {"folder", options_.state_dir + "/logs/" + log.name()}});
}

absl::StatusOr<std::shared_ptr<ServedLog>> LogSet::Open(const LogRule& rule) {
  if (options_.state_dir.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("log \"{}\": a log needs a state directory", rule.name));
  }
  const std::filesystem::path logs =
      std::filesystem::path(options_.state_dir) / "logs";
  std::error_code error;
  std::filesystem::create_directories(logs.parent_path(), error);
  if (!error) {
    const auto above = PosixDisk::OpenFolder(logs.string());
    if (!above.ok()) return FolderError(rule, above.status());
  }
  auto disk = PosixDisk::OpenFolder((logs / rule.name).string());
  if (!disk.ok()) return FolderError(rule, disk.status());
  return ServedLog::Open(*std::move(disk), rule, options_, workers_, post_);
}

std::vector<pb::state::ServedLog> LogSet::Export() const {
  std::vector<pb::state::ServedLog> states;
  for (const std::shared_ptr<ServedLog>& log : open_) {
    states.push_back(log->Export());
  }
  return states;
}

void LogSet::Restore(const pb::state::ServedLog& state) {
  const std::shared_ptr<ServedLog> log = FindOpen(state.name());
  if (log) log->Restore(state);
}

absl::Status LogSet::Hold(absl::Duration patience) {
  const absl::Duration deadline = MonotonicNow() + patience;
  for (const std::shared_ptr<ServedLog>& log : open_) log->HoldReaders();
  for (const std::shared_ptr<ServedLog>& log : open_) {
    while (!log->IsWritten()) {
      if (MonotonicNow() >= deadline) {
        const std::string trouble = log->trouble();
        return absl::DeadlineExceededError(
            fmt::format("the log {} has messages that are in no file yet{}{}",
                        log->name(), trouble.empty() ? "" : ": ", trouble));
      }
      absl::SleepFor(kWrittenPoll);
    }
  }
  return absl::OkStatus();
}

bool LogSet::IsWritten() const {
  return std::all_of(open_.begin(), open_.end(),
                     [](const auto& log) { return log->IsWritten(); });
}

void LogSet::ReleaseReaders() {
  for (const std::shared_ptr<ServedLog>& log : open_) log->ReleaseReaders();
}

void LogSet::Close() {
  for (const std::shared_ptr<ServedLog>& log : open_) log->Close();
}

std::shared_ptr<ServedLog> LogSet::FindOpen(const std::string& name) const {
  for (const std::shared_ptr<ServedLog>& log : open_) {
    if (log->name() == name) return log;
  }
  return nullptr;
}

}  // namespace fifobus
