#include "broker/core/logs/log_reader.h"

#include <algorithm>
#include <utility>

#include "broker/core/logs/segment_scanner.h"

namespace fifobus {
namespace {

// What CheckLog reads in one go. Not tuned.
constexpr size_t kCheckBytes = size_t{1} << 20;

LogReadResult Missing(LogReadOutcome outcome, uint64_t first, uint64_t last) {
  return {outcome, {}, {first, last}, last + 1};
}

// A scanner at the batch that an index entry names, or at the segment's first
// if there is another: an index is no evidence.
SegmentScanner ScannerAt(Segment& segment, const DiskFile& file,
                         const IndexEntry& entry) {
  const uint64_t end = segment.end_position();
  SegmentScanner probe(file, segment.seed(), entry.position, end);
  const ScanItem item = probe.Next();
  const bool fits = item.kind == ScanItem::Kind::kBatch &&
                    item.header.base_offset == entry.offset;
  return SegmentScanner(file, segment.seed(),
                        fits ? entry.position : segment.header_bytes(), end);
}

// Reads from one segment.
class SegmentReader {
 public:
  SegmentReader(Segment& segment, uint64_t from, uint64_t end_offset)
      : segment_(segment), from_(from), end_offset_(end_offset) {
    result_.next_offset = from;
  }

  LogReadResult Read(size_t bytes_max) {
    const OpenedFile opened = segment_.File();
    if (!opened.result.ok()) {
      // A file that somebody has removed is damage like any other.
      if (opened.result.outcome == DiskOutcome::kMissing) {
        return Missing(LogReadOutcome::kDamaged, from_, end_offset_ - 1);
      }
      return Failed();
    }
    file_ = opened.file;
    SegmentScanner scanner =
        ScannerAt(segment_, *file_, segment_.LocateOffset(from_));
    size_t bytes = 0;
    while (result_.next_offset < end_offset_ && bytes < bytes_max) {
      const ScanItem item = scanner.Next();
      if (item.kind == ScanItem::Kind::kFailed) return Failed();
      if (item.kind == ScanItem::Kind::kDamage) continue;
      const BatchHeader& header = item.header;
      const bool ends = item.kind == ScanItem::Kind::kEnd ||
                        header.base_offset >= end_offset_;
      if (ends) return Lost(end_offset_ - 1);
      if (header.end_offset() <= result_.next_offset) continue;
      if (header.base_offset > result_.next_offset) {
        return Lost(header.base_offset - 1);
      }
      const BodyState body = scanner.CheckBody(header);
      if (body == BodyState::kFailed) return Failed();
      if (body == BodyState::kDamaged) return Lost(header.end_offset() - 1);
      Take(header);
      bytes += header.body_bytes;
    }
    result_.outcome = LogReadOutcome::kExtents;
    return std::move(result_);
  }

 private:
  void Take(const BatchHeader& header) {
    result_.extents.push_back({file_, header.body_position(), header.body_bytes,
                               header.base_offset, header.count,
                               header.stored_time_unix_nanos});
    result_.next_offset = header.end_offset();
  }

  // What was found before it comes first.
  LogReadResult Lost(uint64_t last_offset) {
    if (!result_.extents.empty()) {
      result_.outcome = LogReadOutcome::kExtents;
      return std::move(result_);
    }
    return Missing(LogReadOutcome::kDamaged, from_, last_offset);
  }

  LogReadResult Failed() { return {LogReadOutcome::kFailed, {}, {}, from_}; }

  Segment& segment_;
  const uint64_t from_;
  const uint64_t end_offset_;
  std::shared_ptr<DiskFile> file_;
  LogReadResult result_;
};

// The first offset in the segment with that time; its end if there is none.
std::optional<uint64_t> FindTimeIn(Segment& segment, uint64_t end_offset,
                                   uint64_t unix_nanos) {
  const OpenedFile opened = segment.File();
  if (opened.result.outcome == DiskOutcome::kMissing) return end_offset;
  if (!opened.result.ok()) return std::nullopt;
  SegmentScanner scanner =
      ScannerAt(segment, *opened.file, segment.LocateTime(unix_nanos));
  for (;;) {
    const ScanItem item = scanner.Next();
    if (item.kind == ScanItem::Kind::kDamage) continue;
    if (item.kind == ScanItem::Kind::kFailed) return std::nullopt;
    if (item.kind == ScanItem::Kind::kEnd ||
        item.header.base_offset >= end_offset) {
      return end_offset;
    }
    if (item.header.count > 0 &&
        item.header.stored_time_unix_nanos >= unix_nanos) {
      return item.header.base_offset;
    }
  }
}

}  // namespace

size_t SegmentIndexOf(const SegmentList& segments, uint64_t offset) {
  const auto after = std::upper_bound(segments.begin(), segments.end(), offset,
                                      [](uint64_t sought, const auto& segment) {
                                        return sought < segment->base_offset();
                                      });
  return static_cast<size_t>(after - segments.begin()) - 1;
}

uint64_t SegmentEndOffset(const LogView& view, size_t index) {
  const SegmentList& segments = *view.segments;
  return index + 1 < segments.size() ? segments[index + 1]->base_offset()
                                     : view.committed_offset + 1;
}

LogReadResult ReadLog(const LogView& view, uint64_t from_offset,
                      size_t bytes_max) {
  if (from_offset > view.committed_offset || !view.segments ||
      view.segments->empty()) {
    return {LogReadOutcome::kEnd, {}, {}, from_offset};
  }
  const SegmentList& segments = *view.segments;
  const uint64_t first = segments.front()->base_offset();
  if (from_offset < first) {
    return Missing(LogReadOutcome::kTrimmed, from_offset, first - 1);
  }
  const size_t index = SegmentIndexOf(segments, from_offset);
  return SegmentReader(*segments[index], from_offset,
                       SegmentEndOffset(view, index))
      .Read(bytes_max);
}

std::optional<uint64_t> FindTime(const LogView& view, uint64_t unix_nanos) {
  if (!view.segments) return view.committed_offset + 1;
  const SegmentList& segments = *view.segments;
  // The last segment that began before that time may hold it; else it is the
  // first message of the next one.
  auto after =
      std::lower_bound(segments.begin(), segments.end(), unix_nanos,
                       [](const auto& segment, uint64_t sought) {
                         return segment->base_time_unix_nanos() < sought;
                       });
  size_t index = static_cast<size_t>(after - segments.begin());
  index = index == 0 ? 0 : index - 1;
  for (; index < segments.size(); ++index) {
    const uint64_t end = SegmentEndOffset(view, index);
    const auto offset = FindTimeIn(*segments[index], end, unix_nanos);
    if (!offset || *offset < end) return offset;
  }
  return view.committed_offset + 1;
}

CheckedLog CheckLog(const LogView& view) {
  CheckedLog checked;
  if (!view.segments || view.segments->empty()) return checked;
  uint64_t offset = view.segments->front()->base_offset();
  for (;;) {
    LogReadResult read = ReadLog(view, offset, kCheckBytes);
    if (read.outcome == LogReadOutcome::kEnd) return checked;
    if (read.outcome == LogReadOutcome::kFailed) {
      checked.failed = true;
      return checked;
    }
    if (read.outcome == LogReadOutcome::kDamaged) {
      checked.missing.push_back(read.missing);
    }
    offset = read.next_offset;
  }
}

}  // namespace fifobus
