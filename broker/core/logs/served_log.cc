#include "broker/core/logs/served_log.h"

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "fmt/format.h"

namespace fifobus {

ServedLog::ServedLog(const BrokerOptions& options, size_t workers,
                     const PostToWorker& post) {
  for (size_t i = 0; i < workers; ++i) {
    watches_.push_back(std::make_unique<LogWatch>(
        [post, i](absl::Duration delay, std::function<void()> task) {
          post(i, delay, std::move(task));
        }));
    blocks_.push_back(std::make_unique<LogBlocks>(options));
  }
}

absl::StatusOr<std::shared_ptr<ServedLog>> ServedLog::Open(
    std::unique_ptr<Disk> disk, const LogRule& rule,
    const BrokerOptions& options, size_t workers, const PostToWorker& post) {
  std::shared_ptr<ServedLog> served(new ServedLog(options, workers, post));
  DurableLog::Opened opened =
      DurableLog::Open(std::move(disk), rule, options, *served);
  if (!opened.log) {
    return absl::FailedPreconditionError(
        fmt::format("log \"{}\": {} ({})", rule.name,
                    LogOutcomeText(opened.outcome), opened.reason));
  }
  for (const MissingRange& missing : opened.missing) {
    LogError("log damaged: stored messages cannot be read",
             {{"log", rule.name},
              {"first_offset", missing.first_offset},
              {"last_offset", missing.last_offset}});
  }
  served->log_ = std::move(opened.log);
  auto readers =
      ReaderTable::Load(served->log_->disk(), served->log_->id(), rule.name,
                        served->log_->next_offset(), options,
                        [raw = served.get()] { raw->WakeAll(); });
  if (!readers.ok()) return readers.status();
  served->readers_ = *std::move(readers);
  served->written_offset_.store(served->log_->committed_offset());
  served->committed_offset_.store(served->log_->committed_offset());
  served->committer_ = std::make_unique<LogCommitter>(*served->log_, options);
  return served;
}

ServedLog::~ServedLog() { Close(); }

void ServedLog::Close() { committer_.reset(); }

void ServedLog::HoldBack(const std::shared_ptr<Valve>& valve) {
  valve->Pause();
  bool is_held = false;
  {
    const MutexLock lock(mutex_);
    is_held = std::find(held_back_.begin(), held_back_.end(), valve) !=
              held_back_.end();
    if (!is_held) held_back_.push_back(valve);
  }
  if (is_held) valve->Resume();
  // Room may have come before the valve was known, and is not told again.
  if (!log_->full()) OnRoom();
}

size_t ServedLog::held_back() const {
  const MutexLock lock(mutex_);
  return held_back_.size();
}

std::string ServedLog::trouble() const {
  const MutexLock lock(mutex_);
  return trouble_;
}

pb::state::ServedLog ServedLog::Export() const {
  pb::state::ServedLog state;
  state.set_name(name());
  state.set_appended(appended_.value());
  state.set_duplicates(duplicates_.value());
  *state.mutable_readers() = readers_->Export();
  return state;
}

void ServedLog::Restore(const pb::state::ServedLog& state) {
  appended_.Add(state.appended());
  duplicates_.Add(state.duplicates());
  readers_->Restore(state.readers(), log_->next_offset());
}

void ServedLog::OnWritten(uint64_t offset) {
  written_offset_.store(offset);
  WakeAll();
}

void ServedLog::OnCommitted(uint64_t offset) {
  committed_offset_.store(offset);
  WakeAll();
}

void ServedLog::OnRoom() {
  std::vector<std::shared_ptr<Valve>> resume;
  {
    const MutexLock lock(mutex_);
    resume.swap(held_back_);
  }
  for (const std::shared_ptr<Valve>& valve : resume) valve->Resume();
}

void ServedLog::OnOutcome(LogOutcome outcome, std::string_view reason) {
  {
    const MutexLock lock(mutex_);
    trouble_ = outcome == LogOutcome::kDone
                   ? std::string()
                   : fmt::format("{} ({})", LogOutcomeText(outcome), reason);
  }
  if (outcome == LogOutcome::kFailed) failed_.store(true);
  WakeAll();
}

std::optional<uint64_t> ServedLog::DoneOffset() {
  return readers_->DoneOffset();
}

void ServedLog::ReleaseReaders() {
  readers_held_.store(false);
  WakeAll();
}

void ServedLog::WakeAll() {
  for (const std::unique_ptr<LogWatch>& watch : watches_) watch->Wake();
}

}  // namespace fifobus
