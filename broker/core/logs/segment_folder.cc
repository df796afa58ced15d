#include "broker/core/logs/segment_folder.h"

#include <algorithm>
#include <utility>

#include "broker/core/logs/segment.h"
#include "broker/core/logs/segment_scanner.h"

namespace fifobus {
namespace {

void Fail(SegmentFolder& folder, LogOutcome outcome, std::string reason) {
  folder.outcome = outcome;
  folder.reason = std::move(reason);
}

void FailToRead(SegmentFolder& folder, const std::string& file,
                const DiskResult& result) {
  Fail(folder, LogOutcome::kFailed, DiskFaultText("read " + file, result));
}

// Reads one segment's header into the folder.
void ReadHeader(Disk& disk, const SegmentName& name, SegmentFolder& folder) {
  const std::string file_name = SegmentFile(name);
  const OpenedFile opened = disk.Open(file_name);
  if (!opened.result.ok()) {
    return FailToRead(folder, file_name, opened.result);
  }
  FoundSegment found;
  found.name = name;
  const DiskResult size = opened.file->Size();
  if (!size.ok()) return FailToRead(folder, file_name, size);
  found.file_bytes = size.bytes;
  FileText read = ReadFileText(*opened.file, kSegmentHeaderUnit);
  DecodedSegmentHeader decoded = DecodeSegmentHeader(read.text);
  if (read.result.ok() && decoded.fault == HeaderFault::kPartial &&
      decoded.header_bytes > kSegmentHeaderUnit) {
    read = ReadFileText(*opened.file, decoded.header_bytes);
    decoded = DecodeSegmentHeader(read.text);
  }
  if (!read.result.ok()) {
    return FailToRead(folder, file_name, read.result);
  }
  if (decoded.fault == HeaderFault::kNewerVersion) {
    return Fail(folder, LogOutcome::kNewerVersion,
                file_name + " has a newer format version");
  }
  found.header_damaged = decoded.fault != HeaderFault::kNone ||
                         decoded.header.base_offset != name.base_offset;
  found.header = std::move(decoded.header);
  if (!found.header_damaged) found.header_bytes = decoded.header_bytes;
  folder.segments.push_back(std::move(found));
}

// True if a batch of the log lies in the segment, whose header is damaged.
bool HoldsBatches(Disk& disk, const FoundSegment& segment, uint64_t seed,
                  SegmentFolder& folder) {
  const OpenedFile opened = disk.Open(SegmentFile(segment.name));
  if (!opened.result.ok()) {
    FailToRead(folder, SegmentFile(segment.name), opened.result);
    return false;
  }
  SegmentScanner scanner(*opened.file, seed, segment.header_bytes,
                         segment.file_bytes);
  ScanItem item = scanner.Next();
  if (item.kind == ScanItem::Kind::kDamage) item = scanner.Next();
  if (item.kind == ScanItem::Kind::kFailed) {
    FailToRead(folder, SegmentFile(segment.name), {});
  }
  return item.kind == ScanItem::Kind::kBatch;
}

// In a log of which no header can be read, the batches may bear out a log id
// that stands in one. A log that never had a message is none yet.
void JudgeWithoutHeaders(Disk& disk, SegmentFolder& folder) {
  bool messages = false;
  for (const FoundSegment& segment : folder.segments) {
    if (HoldsBatches(disk, segment, segment.header.log_id.seed(), folder)) {
      folder.log_id = segment.header.log_id;
      return;
    }
    if (folder.outcome != LogOutcome::kDone) return;
    messages = messages || segment.name.base_offset > 1 ||
               segment.file_bytes > kSegmentHeaderUnit;
  }
  if (messages) {
    return Fail(folder, LogOutcome::kDamaged,
                SegmentFile(folder.segments.back().name) +
                    " has a damaged header, and no other segment says which "
                    "log it is");
  }
  for (const FoundSegment& segment : folder.segments) {
    folder.torn_creations.push_back(SegmentFile(segment.name));
  }
  folder.segments.clear();
}

// Takes the newest segments away that were torn when they were made: their
// headers were never synced, so no batch was written behind them.
void DropTornCreations(Disk& disk, SegmentFolder& folder) {
  while (folder.outcome == LogOutcome::kDone && !folder.segments.empty() &&
         folder.segments.back().header_damaged) {
    const FoundSegment& last = folder.segments.back();
    if (HoldsBatches(disk, last, folder.log_id.seed(), folder) ||
        folder.outcome != LogOutcome::kDone) {
      return;
    }
    folder.torn_creations.push_back(SegmentFile(last.name));
    folder.segments.pop_back();
  }
}

void DropSuperseded(SegmentFolder& folder) {
  std::vector<FoundSegment> kept;
  for (FoundSegment& segment : folder.segments) {
    if (!kept.empty() &&
        kept.back().name.base_offset == segment.name.base_offset) {
      folder.superseded.push_back(SegmentFile(kept.back().name));
      kept.pop_back();
    }
    kept.push_back(std::move(segment));
  }
  folder.segments = std::move(kept);
}

void TakeLogId(Disk& disk, SegmentFolder& folder) {
  const FoundSegment* first = nullptr;
  for (const FoundSegment& segment : folder.segments) {
    if (segment.header_damaged) continue;
    if (first == nullptr) first = &segment;
    if (segment.header.log_id != first->header.log_id) {
      return Fail(folder, LogOutcome::kDamaged,
                  SegmentFile(segment.name) + " belongs to another log than " +
                      SegmentFile(first->name));
    }
  }
  if (first == nullptr) return JudgeWithoutHeaders(disk, folder);
  folder.log_id = first->header.log_id;
}

}  // namespace

SegmentFolder ReadSegmentFolder(Disk& disk) {
  SegmentFolder folder;
  const FolderListing listing = disk.List();
  if (!listing.result.ok()) {
    FailToRead(folder, "the folder", listing.result);
    return folder;
  }
  std::vector<SegmentName> names;
  for (const std::string& file : listing.names) {
    if (const auto name = ParseSegmentFile(file)) names.push_back(*name);
    if (file.ends_with(kUnfinishedEnding)) folder.unfinished.push_back(file);
  }
  std::sort(names.begin(), names.end());
  if (!names.empty()) {
    folder.names_taken = true;
    folder.last_name = names.back();
  }
  for (const SegmentName& name : names) {
    if (folder.outcome == LogOutcome::kDone) ReadHeader(disk, name, folder);
  }
  if (folder.outcome == LogOutcome::kDone) TakeLogId(disk, folder);
  if (folder.outcome == LogOutcome::kDone && !folder.segments.empty()) {
    DropTornCreations(disk, folder);
    DropSuperseded(folder);
  }
  return folder;
}

}  // namespace fifobus
