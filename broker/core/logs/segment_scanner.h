#ifndef FIFOBUS_BROKER_CORE_LOGS_SEGMENT_SCANNER_H_
#define FIFOBUS_BROKER_CORE_LOGS_SEGMENT_SCANNER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/core/logs/log_format.h"
#include "broker/seam/disk.h"

namespace fifobus {

struct [[nodiscard]] ScanItem {
  enum class Kind {
    kBatch,   // a header whose hash fits
    kDamage,  // from `position` to `end_position` there is none
    kEnd,
    kFailed,  // the disk could not be read
  };
  Kind kind = Kind::kEnd;
  uint64_t position = 0;
  uint64_t end_position = 0;
  BatchHeader header;
};

enum class BodyState {
  kWhole,
  kDamaged,  // or cut by the end of the range
  kFailed,
};

// Walks from batch to batch through a part of a segment. Trusts a number of
// the file only below a hash that fits, and reads nothing beyond the part: a
// length that leads there belongs to a torn batch. After damage it goes on at
// the next header whose hash fits.
//
// Thread-compatible. Memory: one window, whatever the batches' size.
class SegmentScanner {
 public:
  // `position`: of a batch. `end_position`: where the part ends.
  SegmentScanner(const DiskFile& file, uint64_t seed, uint64_t position,
                 uint64_t end_position)
      : file_(file),
        seed_(seed),
        position_(position),
        end_position_(end_position) {}

  // The next header or what is in its place; bodies are stepped over.
  ScanItem Next();

  // Reads the body of the batch that Next gave last.
  BodyState CheckBody(const BatchHeader& header);

 private:
  // Up to `bytes` bytes from `position`, fewer at the end; valid until the next
  // call. Sets failed_.
  std::string_view View(uint64_t position, size_t bytes);
  ScanItem SkipDamage();

  const DiskFile& file_;
  const uint64_t seed_;
  uint64_t position_;
  const uint64_t end_position_;
  bool failed_ = false;
  std::string window_;
  uint64_t window_position_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_SEGMENT_SCANNER_H_
