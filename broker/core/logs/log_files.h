#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_FILES_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "broker/core/logs/log_format.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/log_reader.h"
#include "broker/seam/disk.h"

namespace fifobus {

// A log as its files show it at one moment, for reading alone: no lock is
// taken, and nothing is changed. A broker may have the log open meanwhile.
//
// `view` has everything that the next broker would keep: also whole batches of
// which nothing says yet that they are on disk. It must not outlive the disk.
//
// Thread-compatible.
struct [[nodiscard]] LogFiles {
  // kDone, kFailed, kNewerVersion or kDamaged; the last says that nothing tells
  // which log it is.
  LogOutcome outcome = LogOutcome::kDone;
  std::string reason;

  LogId log_id;
  LogView view;
  uint64_t first_offset = 1;
  uint64_t next_offset = 1;
  // Everything up to there was on disk when the last batch was written.
  uint64_t synced_offset = 0;
  // Of the last message in the last segment, or when that segment was begun.
  uint64_t last_time_unix_nanos = 0;

  struct File {
    std::string name;
    uint64_t base_offset = 0;
    uint64_t bytes = 0;
    bool header_damaged = false;
  };
  std::vector<File> segments;  // oldest first
  uint64_t bytes = 0;          // of all segments

  // What lies behind the last batch in use and is none: torn by a crash, or
  // being written at this moment.
  uint64_t torn_position = 0;
  uint64_t torn_bytes = 0;
  // Files without any message of the log: torn when they were made, and what
  // recovery has cut off earlier.
  std::vector<std::string> torn_files;
};

LogFiles ReadLogFiles(Disk& disk);

// What of `missing` is still part of the log. A broker may have removed the
// rest while it was read. Nothing changes where the folder cannot be read.
std::vector<MissingRange> WithoutTrimmed(std::vector<MissingRange> missing,
                                         Disk& disk);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_FILES_H_
