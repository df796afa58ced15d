#include "broker/core/logs/last_segment.h"

#include <algorithm>
#include <utility>

#include "broker/core/logs/segment_scanner.h"

namespace fifobus {
namespace {

// Walks through the segment. Used once.
class LastSegmentWalk {
 public:
  LastSegmentWalk(const DiskFile& file, uint64_t seed,
                  const FoundSegment& segment, TakeBatch take)
      : file_(file), seed_(seed), segment_(segment), take_(take) {
    found_.next_offset = segment.name.base_offset;
    found_.synced_offset = found_.next_offset - 1;
    found_.kept_position = segment.header_bytes;
    found_.whole = !segment.header_damaged;
  }

  LastSegment Run() {
    FindSyncedOffset();
    if (found_.result.ok()) Walk();
    return std::move(found_);
  }

 private:
  enum class Step { kGoOn, kOver };

  SegmentScanner Scanner() const {
    return SegmentScanner(file_, seed_, segment_.header_bytes,
                          segment_.file_bytes);
  }

  Step Fail(const DiskResult& result) {
    found_.result = result;
    found_.result.outcome = DiskOutcome::kFailed;
    return Step::kOver;
  }

  // What any header that can be read says, also behind damage.
  void FindSyncedOffset() {
    SegmentScanner scanner = Scanner();
    for (;;) {
      const ScanItem item = scanner.Next();
      if (item.kind == ScanItem::Kind::kEnd) return;
      if (item.kind == ScanItem::Kind::kFailed) {
        Fail({});
        return;
      }
      if (item.kind == ScanItem::Kind::kDamage) continue;
      found_.synced_offset =
          std::max(found_.synced_offset, item.header.synced_offset);
    }
  }

  // Takes in batch after batch, until the first thing that is neither whole nor
  // below the synced offset.
  void Walk() {
    SegmentScanner scanner = Scanner();
    Step step = Step::kGoOn;
    while (step == Step::kGoOn) {
      const ScanItem item = scanner.Next();
      switch (item.kind) {
        case ScanItem::Kind::kFailed:
          step = Fail({});
          break;
        case ScanItem::Kind::kDamage:
          found_.whole = false;
          break;
        case ScanItem::Kind::kEnd:
          EndWalk(item.end_position);
          step = Step::kOver;
          break;
        case ScanItem::Kind::kBatch:
          step = TakeItem(scanner, item);
          break;
      }
    }
  }

  Step TakeItem(SegmentScanner& scanner, const ScanItem& item) {
    const BatchHeader& header = item.header;
    if (header.base_offset < found_.next_offset) return Step::kGoOn;
    if (header.base_offset > found_.next_offset &&
        TakeGap(header.base_offset - 1) == Step::kOver) {
      return Step::kOver;
    }
    const BodyState body = scanner.CheckBody(header);
    if (body == BodyState::kFailed) return Fail({});
    if (body == BodyState::kDamaged) return TakeDamaged(item);
    const DiskResult taken = take_(header, found_.synced_offset);
    if (!taken.ok()) return Fail(taken);
    found_.next_offset = header.end_offset();
    found_.kept_position = item.end_position;
    return Step::kGoOn;
  }

  Step TakeDamaged(const ScanItem& item) {
    const BatchHeader& header = item.header;
    found_.whole = false;
    if (header.base_offset > found_.synced_offset) {
      found_.torn = true;
      return Step::kOver;
    }
    found_.missing.push_back({header.base_offset, header.end_offset() - 1});
    found_.next_offset = header.end_offset();
    found_.kept_position = item.end_position;
    return Step::kGoOn;
  }

  // Offsets up to `last_offset` are in no header.
  Step TakeGap(uint64_t last_offset) {
    found_.whole = false;
    if (found_.next_offset > found_.synced_offset) {
      found_.torn = true;
      return Step::kOver;
    }
    const uint64_t missing = std::min(last_offset, found_.synced_offset);
    found_.missing.push_back({found_.next_offset, missing});
    found_.next_offset = missing + 1;
    // What lies behind was not confirmed, and nobody knows where in the damage
    // that begins: nothing is cut.
    return last_offset <= found_.synced_offset ? Step::kGoOn : Step::kOver;
  }

  void EndWalk(uint64_t end_position) {
    if (found_.next_offset <= found_.synced_offset) {
      found_.missing.push_back({found_.next_offset, found_.synced_offset});
      found_.next_offset = found_.synced_offset + 1;
    } else if (found_.kept_position < end_position) {
      found_.torn = true;
    }
  }

  const DiskFile& file_;
  const uint64_t seed_;
  const FoundSegment& segment_;
  const TakeBatch take_;
  LastSegment found_;
};

}  // namespace

LastSegment ReadLastSegment(const DiskFile& file, uint64_t seed,
                            const FoundSegment& segment, TakeBatch take) {
  return LastSegmentWalk(file, seed, segment, take).Run();
}

}  // namespace fifobus
