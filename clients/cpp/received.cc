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
  }
  return "unknown";
}

}  // namespace fifobus
