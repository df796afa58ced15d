#include "broker/core/logs/log_committer.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/signals_blocked.h"

namespace fifobus {

LogCommitter::LogCommitter(DurableLog& log, const BrokerOptions& options)
    : log_(log),
      options_(options),
      synced_at_(MonotonicNow()),
      worked_at_(synced_at_),
      retained_at_(synced_at_) {
  const AllSignalsBlocked blocked;
  thread_ = std::thread([this] { Run(); });
}

LogCommitter::~LogCommitter() {
  ending_.store(true);
  log_.Wake();
  thread_.join();
}

void LogCommitter::Run() {
  while (!ending_.load()) {
    log_.WaitForWork(Timeout());
    CommitOnce();
    log_.FinishTrim();
    const absl::Duration now = MonotonicNow();
    if (retains() && now - retained_at_ >= options_.log_retention_interval) {
      retained_at_ = now;
      log_.Retain(static_cast<uint64_t>(absl::GetCurrentTimeNanos()));
    }
  }
  outcome_ = log_.Commit(LogWriter::SyncWhen::kNow);
  if (outcome_ == LogOutcome::kDone) outcome_ = log_.Cover();
}

void LogCommitter::CommitOnce() {
  const uint64_t before = log_.committed_offset();
  const absl::Duration interval = log_.rule().sync_interval;
  const bool sync = MonotonicNow() - synced_at_ >= interval || log_.full();
  outcome_ = log_.Commit(sync ? LogWriter::SyncWhen::kNow
                              : LogWriter::SyncWhen::kLater);
  const absl::Duration now = MonotonicNow();
  if (sync) synced_at_ = now;
  if (!log_.idle() || log_.committed_offset() > before) {
    worked_at_ = now;
  } else if (!log_.covered() && now - worked_at_ >= options_.log_cover_delay) {
    outcome_ = log_.Cover();
  }
}

bool LogCommitter::retains() const {
  const LogRule rule = log_.rule();
  return rule.keep_bytes > 0 || rule.keep_messages > 0 ||
         rule.keep_age > absl::ZeroDuration() ||
         rule.keep_until == LogRule::KeepUntil::kDone;
}

// Until there is something to do that nobody wakes the thread for.
absl::Duration LogCommitter::Timeout() const {
  absl::Duration timeout = absl::InfiniteDuration();
  const absl::Duration now = MonotonicNow();
  const auto at = [&](absl::Duration time) {
    timeout = std::min(timeout, std::max(time - now, absl::ZeroDuration()));
  };
  if (outcome_ == LogOutcome::kFailed) return timeout;
  if (outcome_ == LogOutcome::kNoRoom) {
    timeout = options_.log_full_retry;
  } else if (!log_.idle()) {
    at(synced_at_ + log_.rule().sync_interval);
  } else if (!log_.covered()) {
    at(worked_at_ + options_.log_cover_delay);
  }
  if (retains()) at(retained_at_ + options_.log_retention_interval);
  return timeout;
}

}  // namespace fifobus
