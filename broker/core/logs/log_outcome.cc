#include "broker/core/logs/log_outcome.h"

#include <string.h>

namespace fifobus {

std::string_view LogOutcomeText(LogOutcome outcome) {
  switch (outcome) {
    case LogOutcome::kDone:
      return "in order";
    case LogOutcome::kNoRoom:
      return "the disk is full: make room, and the log goes on by itself";
    case LogOutcome::kFailed:
      return "the disk failed: look at the kernel's log, then start the broker "
             "again";
    case LogOutcome::kNewerVersion:
      return "a newer fifobus wrote it: start that version";
    case LogOutcome::kLocked:
      return "another broker has it open: stop that one first";
    case LogOutcome::kDamaged:
      return "its files do not say which log it is: restore the folder from a "
             "copy, or move it away to begin anew";
  }
  return "";
}

std::string DiskFaultText(std::string_view call, const DiskResult& result) {
  std::string text(call);
  text += ": ";
  return text += result.error == 0 ? "failed" : strerror(result.error);
}

}  // namespace fifobus
