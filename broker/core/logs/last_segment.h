#ifndef FIFOBUS_BROKER_CORE_LOGS_LAST_SEGMENT_H_
#define FIFOBUS_BROKER_CORE_LOGS_LAST_SEGMENT_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "broker/core/logs/log_format.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/segment_folder.h"
#include "broker/seam/disk.h"

namespace fifobus {

// What of a log's last segment is in use, as LOG.md, "Reading after a crash",
// says.
struct [[nodiscard]] LastSegment {
  // A read that failed, or what was taken failed; the rest is then without
  // meaning.
  DiskResult result;
  // The highest synced offset that any header in it names.
  uint64_t synced_offset = 0;
  // Behind the last message, and the last batch, that is in use.
  uint64_t next_offset = 0;
  uint64_t kept_position = 0;
  // Stored, and not to be read.
  std::vector<MissingRange> missing;
  // Nothing in it is damaged or torn.
  bool whole = true;
  // What lies behind kept_position is a torn tail.
  bool torn = false;
};

// Reads all of it, and changes nothing. `take` gets each whole batch that is in
// use, in order, with the synced offset.
using TakeBatch = absl::FunctionRef<DiskResult(const BatchHeader& header,
                                               uint64_t synced_offset)>;
LastSegment ReadLastSegment(const DiskFile& file, uint64_t seed,
                            const FoundSegment& segment, TakeBatch take);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LAST_SEGMENT_H_
