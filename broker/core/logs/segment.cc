#include "broker/core/logs/segment.h"

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/segment_scanner.h"

namespace fifobus {
namespace {

// 24 bytes for each 64 KiB of a segment: enough for 64 GiB.
constexpr uint64_t kIndexBytesMax = uint64_t{24} << 20;
// For a segment without an index file. Not tuned.
constexpr uint64_t kRebuiltSpacingBytes = uint64_t{64} << 10;

}  // namespace

FileText ReadFileText(const DiskFile& file, uint64_t bytes_max) {
  FileText read;
  read.result = file.Size();
  if (!read.result.ok()) return read;
  read.text.resize(std::min(read.result.bytes, bytes_max));
  size_t filled = 0;
  while (filled < read.text.size()) {
    read.result = file.ReadAt(filled, read.text.data() + filled,
                              read.text.size() - filled);
    if (!read.result.ok() || read.result.bytes == 0) break;
    filled += read.result.bytes;
  }
  read.text.resize(filled);
  return read;
}

DiskResult WriteWhole(DiskFile& file, uint64_t position,
                      std::string_view bytes) {
  while (!bytes.empty()) {
    const DiskResult written = file.WriteAt(position, {&bytes, 1});
    if (!written.ok()) return written;
    // A disk that takes nothing of a rest would be asked for ever.
    if (written.bytes == 0) return {DiskOutcome::kFailed, 0, 0};
    position += written.bytes;
    bytes.remove_prefix(written.bytes);
  }
  return {};
}

OpenedFile Segment::File() {
  {
    const MutexLock lock(mutex_);
    if (std::shared_ptr<DiskFile> file = file_.lock()) {
      return {{}, std::move(file)};
    }
  }
  OpenedFile opened = disk_.Open(SegmentFile(facts_.name));
  const MutexLock lock(mutex_);
  file_ = opened.file;
  return opened;
}

void Segment::AddIndexEntry(const IndexEntry& entry) {
  const MutexLock lock(mutex_);
  index_.push_back(entry);
}

IndexEntry Segment::First() const {
  return {facts_.name.base_offset, facts_.header_bytes,
          facts_.base_time_unix_nanos};
}

std::vector<IndexEntry> Segment::ReadIndex() {
  const OpenedFile opened = disk_.Open(IndexFile(facts_.name));
  if (!opened.result.ok()) return {};
  const FileText read = ReadFileText(*opened.file, kIndexBytesMax);
  return DecodeIndex(read.text, seed(), base_offset())
      .value_or(std::vector<IndexEntry>());
}

std::vector<IndexEntry> Segment::BuildIndex() {
  std::vector<IndexEntry> entries;
  const OpenedFile opened = File();
  if (!opened.result.ok()) return entries;
  SegmentScanner scanner(*opened.file, seed(), header_bytes(), end_position());
  IndexSpacing spacing{kRebuiltSpacingBytes};
  for (ScanItem item = scanner.Next(); item.kind == ScanItem::Kind::kBatch ||
                                       item.kind == ScanItem::Kind::kDamage;
       item = scanner.Next()) {
    const BatchHeader& header = item.header;
    if (item.kind == ScanItem::Kind::kBatch && spacing.Takes(header)) {
      entries.push_back(
          {header.base_offset, header.position, header.stored_time_unix_nanos});
    }
  }
  return entries;
}

void Segment::LoadOnce() {
  {
    const MutexLock lock(mutex_);
    if (indexed_) return;
  }
  std::vector<IndexEntry> entries = ReadIndex();
  if (entries.empty()) entries = BuildIndex();
  const MutexLock lock(mutex_);
  if (indexed_) return;  // another reader was faster
  index_ = std::move(entries);
  indexed_ = true;
}

IndexEntry Segment::LocateOffset(uint64_t offset) {
  LoadOnce();
  const MutexLock lock(mutex_);
  auto after = std::upper_bound(index_.begin(), index_.end(), offset,
                                [](uint64_t sought, const IndexEntry& entry) {
                                  return sought < entry.offset;
                                });
  return after == index_.begin() ? First() : *--after;
}

IndexEntry Segment::LocateTime(uint64_t unix_nanos) {
  LoadOnce();
  const MutexLock lock(mutex_);
  // Strictly before: several batches may have one time.
  auto after = std::lower_bound(index_.begin(), index_.end(), unix_nanos,
                                [](const IndexEntry& entry, uint64_t sought) {
                                  return entry.stored_time_unix_nanos < sought;
                                });
  return after == index_.begin() ? First() : *--after;
}

IndexEntry Segment::FirstEntry() {
  LoadOnce();
  const MutexLock lock(mutex_);
  return index_.empty() ? First() : index_.front();
}

void Segment::StoreIndex() {
  std::string text;
  {
    const MutexLock lock(mutex_);
    text = EncodeIndex(seed(), base_offset(), index_);
  }
  const std::string name = IndexFile(facts_.name);
  (void)disk_.Remove(name);  // of an attempt with the same offset
  const OpenedFile made = disk_.Create(name);
  const DiskResult written =
      made.result.ok() ? WriteWhole(*made.file, 0, text) : made.result;
  if (!written.ok()) {
    LogDebug("log index not written", {{"file", name}});
  }
}

}  // namespace fifobus
