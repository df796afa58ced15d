#include "broker/core/logs/durable_log.h"

#include <string.h>

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/log.h"

namespace fifobus {
namespace {

LogOutcome OutcomeOf(WriteOutcome outcome) {
  switch (outcome) {
    case WriteOutcome::kDone:
      return LogOutcome::kDone;
    case WriteOutcome::kNoRoom:
      return LogOutcome::kNoRoom;
    case WriteOutcome::kFailed:
      break;
  }
  return LogOutcome::kFailed;
}

}  // namespace

DurableLog::Opened DurableLog::Open(std::unique_ptr<Disk> disk,
                                    const LogRule& rule,
                                    const BrokerOptions& options,
                                    LogObserver& observer) {
  Opened opened;
  const DiskResult locked = disk->Lock();
  if (!locked.ok()) {
    opened.outcome = locked.outcome == DiskOutcome::kLocked
                         ? LogOutcome::kLocked
                         : LogOutcome::kFailed;
    opened.reason = DiskFaultText("lock", locked);
    return opened;
  }
  RecoveredLog recovered = RecoverLog(*disk, options, rule.name);
  opened.outcome = recovered.outcome;
  opened.reason = recovered.reason;
  opened.missing = recovered.missing;
  if (opened.outcome != LogOutcome::kDone) return opened;
  std::unique_ptr<DurableLog> log(new DurableLog(
      std::move(disk), rule, options, observer, std::move(recovered)));
  const LogOutcome begun = log->Publish(log->writer_.Open());
  if (begun == LogOutcome::kFailed) {
    opened.outcome = begun;
    opened.reason = log->writer_.reason();
    return opened;
  }
  LogInfo("log open", {{"log", rule.name},
                       {"first", log->first_offset()},
                       {"committed", log->committed_offset()}});
  opened.log = std::move(log);
  return opened;
}

DurableLog::DurableLog(std::unique_ptr<Disk> disk, const LogRule& rule,
                       const BrokerOptions& options, LogObserver& observer,
                       RecoveredLog recovered)
    : name_(rule.name),
      id_(recovered.start.log_id),
      options_(options),
      observer_(observer),
      disk_(std::move(disk)),
      writer_(*disk_, options, recovered.start),
      told_written_(recovered.start.committed_offset),
      told_committed_(recovered.start.committed_offset) {
  {
    const MutexLock lock(view_mutex_);
    view_.segments =
        std::make_shared<const SegmentList>(std::move(recovered.segments));
    view_.committed_offset = recovered.start.committed_offset;
    rule_ = rule;
  }
  const MutexLock lock(append_mutex_);
  publishers_ = std::move(recovered.start.publishers);
  next_offset_ = recovered.start.committed_offset + 1;
  stored_time_unix_nanos_ = recovered.start.stored_time_unix_nanos;
  for (const BatchHeader& header : recovered.tail.batches()) {
    publishers_.Note(header);
    next_offset_ = header.end_offset();
    stored_time_unix_nanos_ =
        std::max(stored_time_unix_nanos_, header.stored_time_unix_nanos);
  }
  in_flight_bytes_ = recovered.tail.size();
  writer_.Add(std::move(recovered.tail));
}

AppendResult DurableLog::Append(const LogAppend& batch, BodyWriter write_body) {
  FIFOBUS_CHECK(batch.count > 0);
  AppendResult result;
  bool was_empty = false;
  {
    const MutexLock lock(append_mutex_);
    if (failed_) return result;
    if (!batch.publisher.empty()) {
      const auto mark = publishers_.Find(batch.publisher);
      if (mark && batch.first_sequence <= mark->last_sequence) {
        return {AppendOutcome::kRepeated, full_, 0, *mark};
      }
      if (!mark && publishers_.size() >= options_.log_publishers_max) {
        result.outcome = AppendOutcome::kTooManyPublishers;
        return result;
      }
    }
    stored_time_unix_nanos_ =
        std::max(stored_time_unix_nanos_, batch.now_unix_nanos);
    BatchHeader header;
    header.body_bytes = batch.body_bytes;
    header.count = batch.count;
    header.base_offset = next_offset_;
    header.stored_time_unix_nanos = stored_time_unix_nanos_;
    header.first_sequence = batch.first_sequence;
    header.last_sequence = batch.last_sequence;
    header.publisher = batch.publisher;
    publishers_.Note(header);
    was_empty = open_.empty();
    write_body({next_offset_, stored_time_unix_nanos_},
               open_.Add(std::move(header)));
    result.base_offset = next_offset_;
    next_offset_ += batch.count;
    full_ = full_ ||
            in_flight_bytes_ + open_.size() > options_.log_backlog_bytes_max;
    result.full = full_;
  }
  result.outcome = AppendOutcome::kAppended;
  if (was_empty) work_.NotifyAll();
  return result;
}

std::optional<PublisherTable::Mark> DurableLog::FindPublisher(
    std::string_view name) {
  const MutexLock lock(append_mutex_);
  return publishers_.Find(name);
}

LogOutcome DurableLog::Commit(LogWriter::SyncWhen when) {
  if (outcome() == LogOutcome::kFailed) return LogOutcome::kFailed;
  BatchBuffer buffer;
  {
    const MutexLock lock(append_mutex_);
    if (!open_.empty()) {
      buffer = std::exchange(open_, writer_.TakeSpare());
      in_flight_bytes_ += buffer.size();
    }
  }
  writer_.Add(std::move(buffer));
  return Publish(writer_.Flush(when));
}

LogOutcome DurableLog::Cover() {
  if (outcome() == LogOutcome::kFailed) return LogOutcome::kFailed;
  writer_.AddCover();
  return Publish(writer_.Flush(LogWriter::SyncWhen::kNow));
}

LogOutcome DurableLog::Publish(WriteOutcome written) {
  PublishSegments();
  const bool room = SettleBacklog(written == WriteOutcome::kFailed);
  if (writer_.written_offset() > told_written_) {
    told_written_ = writer_.written_offset();
    observer_.OnWritten(told_written_);
  }
  if (writer_.committed_offset() > told_committed_) {
    told_committed_ = writer_.committed_offset();
    observer_.OnCommitted(told_committed_);
  }
  if (room) observer_.OnRoom();
  SetOutcome(OutcomeOf(written));
  if (written == WriteOutcome::kNoRoom) {
    const MutexLock lock(view_mutex_);
    if (rule_.on_full == LogRule::OnFull::kDropOldest) DropSegments(1);
  }
  RemoveFiles();
  return OutcomeOf(written);
}

void DurableLog::PublishSegments() {
  const std::shared_ptr<Segment>& active = writer_.active();
  const MutexLock lock(view_mutex_);
  view_.committed_offset = writer_.committed_offset();
  const SegmentList& old = *view_.segments;
  if (!active || (!old.empty() && old.back() == active)) return;
  auto segments = std::make_shared<SegmentList>(old);
  if (!segments->empty() &&
      segments->back()->base_offset() == active->base_offset()) {
    segments->pop_back();  // given up before anything in it was on disk
  }
  segments->push_back(active);
  view_.segments = std::move(segments);
  DropTrimmed();
}

bool DurableLog::SettleBacklog(bool failed) {
  const MutexLock lock(append_mutex_);
  in_flight_bytes_ = writer_.pending_bytes();
  failed_ = failed_ || failed;
  const bool room =
      full_ && (failed_ || in_flight_bytes_ + open_.size() <
                               options_.log_backlog_bytes_max / 2);
  if (room) full_ = false;
  return room;
}

void DurableLog::SetOutcome(LogOutcome outcome) {
  if (outcome_.exchange(outcome, std::memory_order_relaxed) == outcome) return;
  const std::string reason =
      outcome == LogOutcome::kDone ? "" : writer_.reason();
  Log(outcome == LogOutcome::kDone ? LogLevel::kInfo : LogLevel::kError,
      "log state",
      {{"log", name_}, {"state", LogOutcomeText(outcome)}, {"reason", reason}});
  observer_.OnOutcome(outcome, reason);
}

std::vector<SegmentSize> DurableLog::SegmentSizes() const {
  const LogView now = view();
  std::vector<SegmentSize> sizes;
  for (const auto& segment : *now.segments) {
    if (!sizes.empty()) {
      sizes.back().last_time_unix_nanos = segment->base_time_unix_nanos();
    }
    sizes.push_back({segment->base_offset(), segment->end_position(), 0});
  }
  return sizes;
}

void DurableLog::Retain(uint64_t now_unix_nanos) {
  const std::vector<SegmentSize> sizes = SegmentSizes();
  const uint64_t committed = writer_.committed_offset();
  const LogRule keep = rule();
  const size_t count = SegmentsToDrop(sizes, committed, keep, now_unix_nanos,
                                      observer_.DoneOffset());
  {
    const MutexLock lock(view_mutex_);
    // Fewer are left where a trim came between.
    const uint64_t end = sizes.empty() ? 0 : sizes[count].base_offset;
    size_t to_drop = 0;
    while (to_drop < view_.segments->size() &&
           (*view_.segments)[to_drop]->base_offset() < end) {
      ++to_drop;
    }
    DropSegments(to_drop);
  }
  RemoveFiles();
  // Else the segment that is written to would keep its first message until it
  // is full. An eighth more than keep_age is not much.
  const uint64_t roll_nanos =
      static_cast<uint64_t>(absl::ToInt64Nanoseconds(keep.keep_age) / 8);
  if (roll_nanos > 0 && writer_.active() &&
      writer_.active()->base_offset() <= committed &&
      now_unix_nanos > writer_.active()->base_time_unix_nanos() + roll_nanos) {
    writer_.RequestRoll();
  }
}

void DurableLog::Trim(uint64_t first_offset) {
  {
    const MutexLock lock(view_mutex_);
    trimmed_below_ = std::max(trimmed_below_, first_offset);
    DropTrimmed();
    const SegmentList& left = *view_.segments;
    // Only a segment that holds something is worth another.
    if (left.size() == 1 && view_.committed_offset < trimmed_below_ &&
        left.front()->base_offset() <= view_.committed_offset) {
      roll_wanted_.store(true);
    }
  }
  Wake();
}

void DurableLog::FinishTrim() {
  if (roll_wanted_.exchange(false)) writer_.RequestRoll();
  RemoveFiles();
}

void DurableLog::DropTrimmed() {
  const SegmentList& segments = *view_.segments;
  size_t count = 0;
  while (count + 1 < segments.size() &&
         segments[count + 1]->base_offset() <= trimmed_below_) {
    ++count;
  }
  DropSegments(count);
}

void DurableLog::DropSegments(size_t count) {
  const SegmentList& old = *view_.segments;
  // The last one is written to, or says where the log stands.
  count = std::min(count, old.empty() ? 0 : old.size() - 1);
  if (count == 0) return;
  for (size_t i = 0; i < count; ++i) {
    SegmentName name = old[i]->name();
    const uint32_t attempts = name.attempt;
    for (name.attempt = 0; name.attempt <= attempts; ++name.attempt) {
      to_remove_.push_back(name);
    }
  }
  const auto first = old.begin() + static_cast<ptrdiff_t>(count);
  view_.segments = std::make_shared<const SegmentList>(first, old.end());
}

// In order, so that what a crash brings back is the newest of them. A failed
// attempt may still be there, and would then stand for its successor: it goes
// before that one.
void DurableLog::RemoveFiles() {
  for (;;) {
    SegmentName name;
    {
      const MutexLock lock(view_mutex_);
      if (to_remove_.empty()) return;
      name = to_remove_.front();
    }
    const std::string file = SegmentFile(name);
    const DiskResult removed = disk_->Remove(file);
    if (!removed.ok() && removed.outcome != DiskOutcome::kMissing) {
      if (const auto failures = remove_failures_.Count()) {
        LogWarning("log segment not removed",
                   {{"log", name_},
                    {"file", file},
                    {"reason", strerror(removed.error)},
                    {"failures", *failures}});
      }
      return;
    }
    if (removed.ok()) {
      LogInfo("log segment removed", {{"log", name_}, {"file", file}});
      (void)disk_->Remove(IndexFile(name));
    }
    const MutexLock lock(view_mutex_);
    to_remove_.pop_front();  // of the committer alone
  }
}

LogRule DurableLog::rule() const {
  const MutexLock lock(view_mutex_);
  return rule_;
}

void DurableLog::SetRule(const LogRule& rule) {
  {
    const MutexLock lock(view_mutex_);
    rule_ = rule;
  }
  Wake();
}

bool DurableLog::full() const {
  const MutexLock lock(append_mutex_);
  return full_;
}

void DurableLog::WaitForWork(absl::Duration timeout) {
  // Without room or with a failed disk a batch more is no work.
  const bool stuck = outcome() != LogOutcome::kDone;
  const auto work = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(append_mutex_) {
    return woken_ || (!stuck && !open_.empty());
  };
  const MutexLock lock(append_mutex_);
  if (timeout == absl::InfiniteDuration()) {
    work_.Await(append_mutex_, work);
  } else {
    work_.AwaitFor(append_mutex_, timeout, work);
  }
  woken_ = false;
}

void DurableLog::Wake() {
  {
    const MutexLock lock(append_mutex_);
    woken_ = true;
  }
  work_.NotifyAll();
}

LogView DurableLog::view() const {
  const MutexLock lock(view_mutex_);
  return view_;
}

std::optional<uint64_t> DurableLog::FindOffset(absl::Time time) const {
  return FindTime(view(), static_cast<uint64_t>(
                              std::max<int64_t>(0, absl::ToUnixNanos(time))));
}

uint64_t DurableLog::next_offset() const {
  const MutexLock lock(append_mutex_);
  return next_offset_;
}

size_t DurableLog::backlog_bytes() const {
  const MutexLock lock(append_mutex_);
  return in_flight_bytes_ + open_.size();
}

uint64_t DurableLog::first_offset() const {
  const LogView now = view();
  return now.segments->empty() ? now.committed_offset + 1
                               : now.segments->front()->base_offset();
}

}  // namespace fifobus
