#include "clients/cpp/received.h"

namespace fifobus {

std::string_view GapReasonText(GapReason reason) {
  switch (reason) {
    case GapReason::kUnknown:
      break;
    case GapReason::kOverflow:
      return "overflow";
    case GapReason::kReconnected:
      return "reconnected";
    case GapReason::kConflated:
      return "conflated";
    case GapReason::kExpired:
      return "expired";
    case GapReason::kDisconnected:
      return "disconnected";
    case GapReason::kTrimmed:
      return "trimmed";
    case GapReason::kDamaged:
      return "damaged";
  }
  return "unknown";
}

std::string_view ConfirmFailureText(ConfirmFailure failure) {
  switch (failure) {
    case ConfirmFailure::kNone:
      return "";
    case ConfirmFailure::kNoLog:
      return "no log stores its topic; `fifobus log ls` shows the logs";
    case ConfirmFailure::kLogFailed:
      return "its log has failed; the broker's messages say why";
    case ConfirmFailure::kTooManyPublishers:
      return "its log remembers no more names of publishers; use a known one, "
             "or a log that has room";
    case ConfirmFailure::kUnknown:
      break;
  }
  return "the broker gives a reason that is unknown here";
}

}  // namespace fifobus
