#include "broker/core/logs/log_files.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "broker/core/logs/last_segment.h"
#include "broker/core/logs/log_format.h"
#include "broker/core/logs/segment.h"
#include "broker/core/logs/segment_folder.h"
#include "broker/core/logs/torn_tail.h"

namespace fifobus {
namespace {

// A broker that removes a segment between a listing and an open makes a read
// fail; twice in a row it would have to be unlikely fast.
constexpr int kAttempts = 3;

LogFiles Failed(LogOutcome outcome, std::string reason) {
  LogFiles files;
  files.outcome = outcome;
  files.reason = std::move(reason);
  return files;
}

LogFiles ReadOnce(Disk& disk) {
  const SegmentFolder folder = ReadSegmentFolder(disk);
  if (folder.outcome != LogOutcome::kDone) {
    return Failed(folder.outcome, folder.reason);
  }
  LogFiles files;
  files.log_id = folder.log_id;
  files.torn_files = folder.torn_creations;
  for (const std::string& name : disk.List().names) {
    if (IsTornFile(name)) files.torn_files.push_back(name);
  }
  std::sort(files.torn_files.begin(), files.torn_files.end());
  if (folder.segments.empty()) return files;

  auto segments = std::make_shared<SegmentList>();
  for (const FoundSegment& found : folder.segments) {
    const Segment::Facts facts{found.name, folder.log_id,
                               found.header.base_time_unix_nanos,
                               found.header_bytes, found.file_bytes};
    segments->push_back(
        std::make_shared<Segment>(disk, facts, /*indexed=*/false));
    files.segments.push_back({SegmentFile(found.name), found.name.base_offset,
                              found.file_bytes, found.header_damaged});
    files.bytes += found.file_bytes;
  }

  const FoundSegment& last = folder.segments.back();
  files.last_time_unix_nanos = last.header.base_time_unix_nanos;
  const OpenedFile opened = segments->back()->File();
  if (!opened.result.ok()) {
    return Failed(
        LogOutcome::kFailed,
        DiskFaultText("open " + SegmentFile(last.name), opened.result));
  }
  const LastSegment read = ReadLastSegment(
      *opened.file, folder.log_id.seed(), last,
      [&](const BatchHeader& header, uint64_t /*synced_offset*/) {
        if (header.count > 0) {
          files.last_time_unix_nanos = header.stored_time_unix_nanos;
        }
        return DiskResult();
      });
  if (!read.result.ok()) {
    return Failed(LogOutcome::kFailed,
                  DiskFaultText("read " + SegmentFile(last.name), read.result));
  }
  segments->back()->SetEndPosition(read.kept_position);
  files.synced_offset = read.synced_offset;
  files.first_offset = segments->front()->base_offset();
  files.next_offset = read.next_offset;
  if (read.torn) {
    files.torn_position = read.kept_position;
    files.torn_bytes = last.file_bytes - read.kept_position;
  }
  files.view = {std::move(segments), files.next_offset - 1};
  return files;
}

// Where the log begins; nothing if the folder does not tell.
std::optional<uint64_t> FirstOffset(Disk& disk) {
  std::optional<uint64_t> first;
  for (const std::string& file : disk.List().names) {
    const std::optional<SegmentName> name = ParseSegmentFile(file);
    if (name && (!first || name->base_offset < *first)) {
      first = name->base_offset;
    }
  }
  return first;
}

}  // namespace

LogFiles ReadLogFiles(Disk& disk) {
  LogFiles files = ReadOnce(disk);
  for (int attempt = 1;
       attempt < kAttempts && files.outcome == LogOutcome::kFailed; ++attempt) {
    files = ReadOnce(disk);
  }
  return files;
}

std::vector<MissingRange> WithoutTrimmed(std::vector<MissingRange> missing,
                                         Disk& disk) {
  const std::optional<uint64_t> first = FirstOffset(disk);
  if (!first) return missing;
  std::erase_if(missing, [&](const MissingRange& range) {
    return range.last_offset < *first;
  });
  for (MissingRange& range : missing) {
    range.first_offset = std::max(range.first_offset, *first);
  }
  return missing;
}

}  // namespace fifobus
