#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_OUTCOME_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_OUTCOME_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "broker/seam/disk.h"

namespace fifobus {

// How a log is, or why it could not be opened.
enum class [[nodiscard]] LogOutcome{
    kDone,
    kNoRoom,        // the disk is full; the log goes on by itself
    kFailed,        // the disk failed twice; open the log again
    kNewerVersion,  // a newer fifobus wrote it; nothing was touched
    kLocked,        // another broker has it
    kDamaged,       // it is not clear which log it is; nothing was touched
};

std::string_view LogOutcomeText(LogOutcome outcome);

// "CALL: REASON", for people.
std::string DiskFaultText(std::string_view call, const DiskResult& result);

// Messages that were stored and cannot be read.
struct MissingRange {
  uint64_t first_offset = 0;
  uint64_t last_offset = 0;

  uint64_t count() const { return last_offset - first_offset + 1; }
  bool operator==(const MissingRange&) const = default;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_OUTCOME_H_
