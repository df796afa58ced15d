#ifndef FIFOBUS_BROKER_CORE_LOGS_SEGMENT_FOLDER_H_
#define FIFOBUS_BROKER_CORE_LOGS_SEGMENT_FOLDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/core/logs/log_format.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/seam/disk.h"

namespace fifobus {

// A segment as its file's name and header tell it.
struct FoundSegment {
  SegmentName name;
  uint64_t file_bytes = 0;
  // Of a damaged header the offset in the file's name is known, and a log id
  // that may be wrong.
  bool header_damaged = false;
  SegmentHeader header;
  uint64_t header_bytes = kSegmentHeaderUnit;
};

// The segments of a log's folder, before any of it is changed.
struct [[nodiscard]] SegmentFolder {
  LogOutcome outcome = LogOutcome::kDone;
  std::string reason;

  LogId log_id;
  // In order; each begins above the one before.
  std::vector<FoundSegment> segments;
  // Files of which the next segment holds everything.
  std::vector<std::string> superseded;
  // Files that were torn when they were made, and never held a message that was
  // confirmed.
  std::vector<std::string> torn_creations;
  // Segments that were being made.
  std::vector<std::string> unfinished;
  // The highest name that is taken.
  SegmentName last_name;
  bool names_taken = false;
};

SegmentFolder ReadSegmentFolder(Disk& disk);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_SEGMENT_FOLDER_H_
