#include "broker/core/logs/log_writer.h"

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/log_outcome.h"

namespace fifobus {

LogWriter::LogWriter(Disk& disk, const BrokerOptions& options, Start start)
    : disk_(disk),
      options_(options),
      now_(std::move(start)),
      spacing_{options.log_index_bytes, now_.position},
      written_offset_(now_.committed_offset) {}

WriteOutcome LogWriter::Open() {
  if (now_.active) {
    const OpenedFile opened = now_.active->File();
    file_ = opened.file;
    // All of it is covered, so this says nothing new; if it fails, the file is
    // not to be relied on.
    const DiskResult result =
        opened.result.ok() ? file_->Sync() : opened.result;
    if (!result.ok()) {
      (void)Fault(result, "open a segment");
      Abandon();
    }
  }
  if (now_.active) return Flush(SyncWhen::kNow);
  const WriteOutcome outcome = BeginSegment();
  return outcome == WriteOutcome::kFailed ? BeginSegment() : outcome;
}

void LogWriter::Add(BatchBuffer buffer) {
  if (!buffer.empty()) pending_.push_back(std::move(buffer));
}

void LogWriter::AddCover() {
  if (!pending_.empty() || now_.covered_offset >= now_.committed_offset) return;
  BatchHeader header;
  header.base_offset = now_.committed_offset + 1;
  header.stored_time_unix_nanos = now_.stored_time_unix_nanos;
  BatchBuffer buffer = TakeSpare();
  (void)buffer.Add(std::move(header));
  Add(std::move(buffer));
}

WriteOutcome LogWriter::Flush(SyncWhen when) {
  if (pending_.empty()) return WriteOutcome::kDone;
  RollIfDue();
  // Once where writing goes on, and once more in a new segment.
  for (int attempts = 0; attempts < 2; ++attempts) {
    WriteOutcome outcome = WriteOutcome::kDone;
    if (!now_.active) {
      outcome = BeginSegment();
    } else if (const DiskResult written = WritePending(); !written.ok()) {
      outcome = Fault(written, "write");
    } else if (when == SyncWhen::kNow) {
      outcome = SyncPending();
    }
    if (outcome != WriteOutcome::kFailed) return outcome;
    Abandon();
  }
  return WriteOutcome::kFailed;
}

size_t LogWriter::pending_bytes() const {
  size_t bytes = 0;
  for (const BatchBuffer& buffer : pending_) bytes += buffer.size();
  return bytes;
}

BatchBuffer LogWriter::TakeSpare() {
  BatchBuffer spare = std::move(spare_);
  spare_ = BatchBuffer();
  spare.Clear();
  return spare;
}

WriteOutcome LogWriter::Fault(const DiskResult& result, std::string_view call) {
  reason_ = DiskFaultText(call, result);
  return result.outcome == DiskOutcome::kNoRoom ? WriteOutcome::kNoRoom
                                                : WriteOutcome::kFailed;
}

// Not while something is in the file and not known to be on disk.
void LogWriter::RollIfDue() {
  if (!now_.active || written_ > 0) return;
  if (!roll_requested_ && now_.position < options_.log_segment_bytes) return;
  now_.active->StoreIndex();
  now_.active.reset();
  file_.reset();
}

DiskResult LogWriter::WriteNewFile(const std::string& name) {
  const std::string unfinished = name + std::string(kUnfinishedEnding);
  const OpenedFile made = disk_.Create(unfinished);
  if (!made.result.ok()) return made.result;
  file_ = made.file;
  const SegmentHeader header{now_.log_id, now_.committed_offset + 1,
                             now_.stored_time_unix_nanos,
                             now_.publishers.marks()};
  const std::string bytes = EncodeSegmentHeader(header);
  header_bytes_ = bytes.size();
  now_.position = header_bytes_;
  DiskResult result = WriteWhole(*file_, 0, bytes);
  if (result.ok()) result = WritePending();
  if (result.ok()) result = file_->Sync();
  if (result.ok()) result = disk_.Rename(unfinished, name);
  if (result.ok()) result = disk_.SyncFolder();
  if (!result.ok()) {
    // If it comes back after a crash, it holds all that it begins with, and the
    // next attempt's name is above it.
    (void)disk_.Remove(unfinished);
    (void)disk_.Remove(name);
    file_.reset();
    written_ = 0;
  }
  return result;
}

WriteOutcome LogWriter::BeginSegment() {
  SegmentName name{now_.committed_offset + 1, 0};
  if (now_.names_taken && now_.last_name.base_offset == name.base_offset) {
    name.attempt = now_.last_name.attempt + 1;
  }
  now_.last_name = name;
  now_.names_taken = true;
  const uint64_t base_time = now_.stored_time_unix_nanos;
  const DiskResult result = WriteNewFile(SegmentFile(name));
  if (!result.ok()) return Fault(result, "begin a segment");
  now_.active =
      std::make_shared<Segment>(disk_,
                                Segment::Facts{name, now_.log_id, base_time,
                                               header_bytes_, header_bytes_},
                                true);
  spacing_ = {options_.log_index_bytes, 0};
  roll_requested_ = false;
  // Its header says that everything below it is on disk.
  now_.covered_offset = now_.committed_offset;
  for (const std::string& old : now_.superseded) (void)disk_.Remove(old);
  now_.superseded.clear();
  NoteCommitted();
  return WriteOutcome::kDone;
}

DiskResult LogWriter::WritePending() {
  for (; written_ < pending_.size(); ++written_) {
    BatchBuffer& buffer = pending_[written_];
    buffer.Seal(now_.position, now_.committed_offset, now_.log_id.seed());
    const DiskResult result = WriteWhole(*file_, now_.position, buffer.bytes());
    if (!result.ok()) return result;
    now_.position += buffer.size();
    written_offset_ =
        std::max(written_offset_, buffer.batches().back().end_offset() - 1);
  }
  return {};
}

WriteOutcome LogWriter::SyncPending() {
  const DiskResult result = file_->Sync();
  if (result.ok()) {
    NoteCommitted();
    return WriteOutcome::kDone;
  }
  const WriteOutcome outcome = Fault(result, "fdatasync");
  // Also without room: which pages are on disk is not known any more.
  if (outcome == WriteOutcome::kNoRoom) Abandon();
  return outcome;
}

void LogWriter::NoteCommitted() {
  for (const BatchBuffer& buffer : pending_) {
    for (const BatchHeader& header : buffer.batches()) {
      now_.publishers.Note(header);
      now_.covered_offset = std::max(now_.covered_offset, header.synced_offset);
      now_.committed_offset = header.end_offset() - 1;
      now_.stored_time_unix_nanos = header.stored_time_unix_nanos;
      if (spacing_.Takes(header)) {
        now_.active->AddIndexEntry({header.base_offset, header.position,
                                    header.stored_time_unix_nanos});
      }
    }
  }
  now_.active->SetEndPosition(now_.position);
  if (!pending_.empty()) spare_ = std::move(pending_.back());
  pending_.clear();
  written_ = 0;
}

void LogWriter::Abandon() {
  if (now_.active) {
    const std::string file_name = SegmentFile(now_.active->name());
    LogError("log segment given up",
             {{"file", file_name}, {"reason", reason_}});
    // The first one stays until its successor is on disk: it may be the only
    // file that says where the log stood.
    if (now_.active->base_offset() > now_.committed_offset) {
      if (now_.superseded.empty()) {
        now_.superseded.push_back(file_name);
      } else {
        (void)disk_.Remove(file_name);
      }
    } else {
      now_.active->StoreIndex();
    }
  }
  now_.active.reset();
  file_.reset();
  written_ = 0;
}

}  // namespace fifobus
