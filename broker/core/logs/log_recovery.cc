#include "broker/core/logs/log_recovery.h"

#include <string.h>

#include <algorithm>
#include <random>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/last_segment.h"
#include "broker/core/logs/segment_folder.h"
#include "broker/core/logs/segment_scanner.h"
#include "broker/core/logs/torn_tail.h"

namespace fifobus {
namespace {

LogId NewLogId() {
  std::random_device random;
  LogId id;
  for (size_t at = 0; at < id.bytes.size(); at += sizeof(uint32_t)) {
    const uint32_t bits = random();
    memcpy(&id.bytes[at], &bits, sizeof(bits));
  }
  return id;
}

// Recovers one log. Used once.
class Recovery {
 public:
  Recovery(Disk& disk, const BrokerOptions& options, std::string_view log_name)
      : disk_(disk),
        options_(options),
        log_name_(log_name),
        spacing_{options.log_index_bytes} {}

  RecoveredLog Run() {
    SegmentFolder folder = ReadSegmentFolder(disk_);
    found_.outcome = folder.outcome;
    found_.reason = folder.reason;
    if (folder.outcome != LogOutcome::kDone) return std::move(found_);
    for (const std::string& file : folder.unfinished) (void)disk_.Remove(file);
    LogWriter::Start& start = found_.start;
    start.names_taken = folder.names_taken;
    start.last_name = folder.last_name;
    start.superseded = folder.superseded;
    if (!KeepTornCreations(folder)) return std::move(found_);
    if (folder.segments.empty()) {
      start.log_id = NewLogId();
      return std::move(found_);
    }
    start.log_id = folder.log_id;
    seed_ = folder.log_id.seed();
    for (const FoundSegment& segment : folder.segments) {
      AddSegment(segment, &segment == &folder.segments.back());
    }
    if (!RebuildPublishers(folder)) return std::move(found_);
    RecoverLast(folder.segments.back());
    return std::move(found_);
  }

 private:
  bool Fail(const DiskResult& result, std::string_view call) {
    found_.outcome = LogOutcome::kFailed;
    found_.reason = DiskFaultText(call, result);
    return false;
  }

  bool KeepTornCreations(const SegmentFolder& folder) {
    for (const std::string& file : folder.torn_creations) {
      LogWarning("log segment torn at its creation",
                 {{"log", log_name_}, {"file", file}});
      const DiskResult result = disk_.Rename(file, TornFile(disk_, file));
      if (!result.ok()) return Fail(result, "rename a torn segment");
    }
    return true;
  }

  // The last one is read anyway, and indexed on the way.
  void AddSegment(const FoundSegment& found, bool last) {
    Segment::Facts facts{found.name, found_.start.log_id,
                         found.header.base_time_unix_nanos, found.header_bytes,
                         found.file_bytes};
    found_.segments.push_back(std::make_shared<Segment>(disk_, facts, last));
    if (found.header_damaged) {
      LogError("log damaged: a segment's header cannot be read",
               {{"log", log_name_}, {"file", SegmentFile(found.name)}});
    }
  }

  // The table as of the last segment's first message: from its header, or, if
  // that is damaged, from an older one and the batches since.
  bool RebuildPublishers(const SegmentFolder& folder) {
    size_t from = folder.segments.size() - 1;
    while (from > 0 && folder.segments[from].header_damaged) --from;
    PublisherTable& publishers = found_.start.publishers;
    for (const PublisherMark& mark : folder.segments[from].header.publishers) {
      publishers.Set(mark.name, {mark.last_sequence, mark.last_offset});
    }
    for (; from + 1 < folder.segments.size(); ++from) {
      const uint64_t end = folder.segments[from + 1].name.base_offset;
      if (!NotePublishers(folder.segments[from], end)) return false;
    }
    return true;
  }

  bool NotePublishers(const FoundSegment& segment, uint64_t end_offset) {
    const OpenedFile opened = disk_.Open(SegmentFile(segment.name));
    if (!opened.result.ok()) return Fail(opened.result, "open");
    SegmentScanner scanner(*opened.file, seed_, segment.header_bytes,
                           segment.file_bytes);
    for (;;) {
      const ScanItem item = scanner.Next();
      if (item.kind == ScanItem::Kind::kEnd) return true;
      if (item.kind == ScanItem::Kind::kFailed) return Fail({}, "read");
      if (item.kind == ScanItem::Kind::kDamage) continue;
      if (item.header.end_offset() > end_offset) return true;
      found_.start.publishers.Note(item.header);
    }
  }

  void RecoverLast(const FoundSegment& last) {
    LogWriter::Start& start = found_.start;
    const OpenedFile opened = disk_.Open(SegmentFile(last.name));
    if (!opened.result.ok()) {
      Fail(opened.result, "open");
      return;
    }
    start.stored_time_unix_nanos = last.header.base_time_unix_nanos;
    LastSegment read =
        ReadLastSegment(*opened.file, seed_, last,
                        [&](const BatchHeader& header, uint64_t synced_offset) {
                          return TakeBatch(*opened.file, header, synced_offset);
                        });
    if (!read.result.ok()) {
      Fail(read.result, "read");
      return;
    }
    found_.missing = std::move(read.missing);
    ReportMissing(last);
    // Whatever is not covered goes into a new segment, which this one then ends
    // at. So no more of this one is in use.
    start.committed_offset = read.synced_offset;
    start.covered_offset = read.synced_offset;
    found_.segments.back()->SetEndPosition(read.kept_position);
    if (read.torn && !CutTornTail(*opened.file, last, read.kept_position)) {
      return;
    }
    // Otherwise nothing in it is known to be on disk, not even its header.
    const bool known = read.synced_offset >= last.name.base_offset;
    if (read.whole && found_.tail.empty() && known) {
      start.active = found_.segments.back();
      start.position = read.kept_position;
    } else if (!known) {
      start.superseded.push_back(SegmentFile(last.name));
      found_.segments.pop_back();
    }
  }

  DiskResult TakeBatch(const DiskFile& file, const BatchHeader& header,
                       uint64_t synced_offset) {
    LogWriter::Start& start = found_.start;
    if (header.base_offset <= synced_offset || header.count == 0) {
      start.publishers.Note(header);
      start.stored_time_unix_nanos =
          std::max(start.stored_time_unix_nanos, header.stored_time_unix_nanos);
      if (spacing_.Takes(header)) {
        found_.segments.back()->AddIndexEntry({header.base_offset,
                                               header.position,
                                               header.stored_time_unix_nanos});
      }
      return {};
    }
    char* body = found_.tail.Add(header);
    uint64_t position = header.body_position();
    for (uint64_t left = header.body_bytes; left > 0;) {
      const DiskResult read = file.ReadAt(position, body, left);
      if (!read.ok()) return read;
      if (read.bytes == 0) return {DiskOutcome::kFailed, 0, 0};
      body += read.bytes;
      position += read.bytes;
      left -= read.bytes;
    }
    return {};
  }

  void ReportMissing(const FoundSegment& last) {
    for (const MissingRange& range : found_.missing) {
      LogError("log damaged: stored messages cannot be read",
               {{"log", log_name_},
                {"file", SegmentFile(last.name)},
                {"first", range.first_offset},
                {"last", range.last_offset}});
    }
  }

  bool CutTornTail(DiskFile& file, const FoundSegment& last,
                   uint64_t position) {
    const std::string name = SegmentFile(last.name);
    LogWarning("log tail torn: what was not confirmed is cut",
               {{"log", log_name_},
                {"file", name},
                {"position", position},
                {"bytes", last.file_bytes - position}});
    const DiskResult cut =
        KeepAndCutTail(disk_, file, name, position, last.file_bytes,
                       options_.log_torn_files_max);
    // Without room it is not kept, and not cut: the new segment supersedes it.
    if (cut.ok() || cut.outcome == DiskOutcome::kNoRoom) return true;
    return Fail(cut, "cut a torn tail");
  }

  Disk& disk_;
  const BrokerOptions& options_;
  const std::string_view log_name_;
  RecoveredLog found_;
  uint64_t seed_ = 0;
  IndexSpacing spacing_;  // of the last segment
};

}  // namespace

RecoveredLog RecoverLog(Disk& disk, const BrokerOptions& options,
                        std::string_view log_name) {
  return Recovery(disk, options, log_name).Run();
}

}  // namespace fifobus
