#include "broker/core/logs/reader_table.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "broker/base/log.h"
#include "broker/base/signals_blocked.h"
#include "broker/core/logs/log_outcome.h"
#include "fmt/format.h"

namespace fifobus {

absl::StatusOr<std::unique_ptr<ReaderTable>> ReaderTable::Load(
    Disk& disk, const LogId& log_id, const std::string& log_name,
    uint64_t next_offset, const BrokerOptions& options,
    std::function<void()> on_stored) {
  LoadedReaders loaded = LoadReaders(disk, log_id, log_name);
  if (!loaded.result.ok()) {
    return absl::FailedPreconditionError(fmt::format(
        "log \"{}\": the positions of its durable readers cannot be read ({})",
        log_name, DiskFaultText("read readers", loaded.result)));
  }
  if (loaded.fault == HeaderFault::kNewerVersion) {
    return absl::FailedPreconditionError(
        fmt::format("log \"{}\": a newer fifobus wrote the positions of its "
                    "durable readers; run that one, or a newer one",
                    log_name));
  }
  std::unique_ptr<ReaderTable> table(
      new ReaderTable(disk, log_id, log_name, options, std::move(on_stored)));
  const MutexLock lock(table->mutex_);
  for (ReaderRecord& record : loaded.readers) {
    table->Bound(record, next_offset);
    table->Make(std::move(record))->NoteStored();
  }
  return table;
}

ReaderTable::ReaderTable(Disk& disk, const LogId& log_id, std::string log_name,
                         const BrokerOptions& options,
                         std::function<void()> on_stored)
    : disk_(disk),
      log_id_(log_id),
      log_name_(std::move(log_name)),
      options_(options),
      on_stored_(std::move(on_stored)) {
  const AllSignalsBlocked blocked;
  thread_ = std::thread([this] { Run(); });
}

ReaderTable::~ReaderTable() {
  {
    const MutexLock lock(work_mutex_);
    ending_ = true;
  }
  work_.NotifyAll();
  thread_.join();
}

void ReaderTable::Bound(ReaderRecord& record, uint64_t next_offset) const {
  if (record.position <= next_offset) return;
  LogError("durable reader beyond the log's end; it begins there",
           {{"log", log_name_},
            {"reader", record.name},
            {"position", record.position},
            {"next", next_offset}});
  record.position = next_offset;
  record.done_above = {};
}

std::shared_ptr<DurableReader> ReaderTable::Make(ReaderRecord record) {
  const std::string name = record.name;
  auto reader = std::make_shared<DurableReader>(std::move(record),
                                                [this] { NoteChange(); });
  readers_[name] = reader;
  return reader;
}

std::shared_ptr<DurableReader> ReaderTable::Find(std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto found = readers_.find(name);
  return found == readers_.end() ? nullptr : found->second;
}

ReaderTable::Opened ReaderTable::Open(const std::string& name,
                                      const std::string& pattern,
                                      const std::string& group,
                                      uint64_t start) {
  Opened opened;
  {
    const MutexLock lock(mutex_);
    const auto found = readers_.find(name);
    if (found != readers_.end()) {
      opened.reader = found->second;
      if (opened.reader->pattern() != pattern) {
        opened.outcome = OpenOutcome::kOtherPattern;
      } else if (opened.reader->group() != group) {
        opened.outcome = OpenOutcome::kOtherGroup;
      }
      return opened;
    }
    if (readers_.size() >= options_.log_readers_max) {
      opened.outcome = OpenOutcome::kTooMany;
      return opened;
    }
    opened.reader = Make({name, pattern, group, start});
  }
  LogInfo("durable reader made", {{"log", log_name_},
                                  {"reader", name},
                                  {"pattern", pattern},
                                  {"position", start}});
  NoteChange();
  return opened;
}

std::vector<std::shared_ptr<DurableReader>> ReaderTable::List() const {
  std::vector<std::shared_ptr<DurableReader>> readers;
  const MutexLock lock(mutex_);
  for (const auto& [name, reader] : readers_) readers.push_back(reader);
  return readers;
}

ReaderTable::ChangeOutcome ReaderTable::Seek(std::string_view name,
                                             uint64_t position) {
  const std::shared_ptr<DurableReader> reader = Find(name);
  if (!reader) return ChangeOutcome::kUnknown;
  return reader->SetPosition(position) ? ChangeOutcome::kDone
                                       : ChangeOutcome::kInUse;
}

ReaderTable::ChangeOutcome ReaderTable::Forget(std::string_view name) {
  {
    const MutexLock lock(mutex_);
    const auto found = readers_.find(name);
    if (found == readers_.end()) return ChangeOutcome::kUnknown;
    if (found->second->in_use()) return ChangeOutcome::kInUse;
    readers_.erase(found);
  }
  LogInfo("durable reader forgotten", {{"log", log_name_}, {"reader", name}});
  NoteChange();
  return ChangeOutcome::kDone;
}

ReaderTable::States ReaderTable::Export() const {
  States states;
  for (const auto& reader : List()) *states.Add() = reader->Export();
  return states;
}

void ReaderTable::Restore(const States& states, uint64_t next_offset) {
  {
    const MutexLock lock(mutex_);
    readers_.clear();
    for (const pb::state::DurableReader& state : states) {
      ReaderRecord record = DurableReader::RestoreRecord(state);
      Bound(record, next_offset);
      const auto reader = Make(std::move(record));
      if (state.stored()) reader->NoteStored();
    }
  }
  NoteChange();
}

std::optional<uint64_t> ReaderTable::DoneOffset() const {
  std::optional<uint64_t> done;
  const MutexLock lock(mutex_);
  for (const auto& [name, reader] : readers_) {
    const uint64_t below = reader->position() - 1;
    done = std::min(done.value_or(below), below);
  }
  return done;
}

void ReaderTable::NoteChange() {
  {
    const MutexLock lock(work_mutex_);
    if (std::exchange(changed_, true)) return;
  }
  work_.NotifyAll();
}

void ReaderTable::Run() {
  for (;;) {
    bool last = false;
    {
      const MutexLock lock(work_mutex_);
      work_.Await(work_mutex_,
                  [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(work_mutex_) {
                    return changed_ || ending_;
                  });
      if (!changed_) return;
      changed_ = false;
      last = ending_;
    }
    const bool stored = Write() == DiskOutcome::kDone;
    const MutexLock lock(work_mutex_);
    if (last) return;
    if (!stored) changed_ = true;
    work_.AwaitFor(
        work_mutex_,
        stored ? options_.log_readers_write_interval : options_.log_full_retry,
        [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(work_mutex_) { return ending_; });
  }
}

DiskOutcome ReaderTable::Write() {
  const std::vector<std::shared_ptr<DurableReader>> readers = List();
  std::vector<ReaderRecord> records;
  records.reserve(readers.size());
  for (const auto& reader : readers) records.push_back(reader->record());
  const DiskResult result = StoreReaders(
      disk_, EncodeReaders(log_id_, records, options_.log_reader_ranges_max));
  if (!result.ok()) {
    if (const auto failures = failures_.Count()) {
      LogError("log readers not stored; it is tried again",
               {{"log", log_name_},
                {"reason", DiskFaultText("write readers", result)},
                {"failures", *failures}});
    }
    return result.outcome;
  }
  bool fresh = false;
  for (const auto& reader : readers) {
    if (reader->stored()) continue;
    reader->NoteStored();
    fresh = true;
  }
  if (fresh) on_stored_();
  return result.outcome;
}

}  // namespace fifobus
