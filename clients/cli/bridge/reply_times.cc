#include "clients/cli/bridge/reply_times.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "clients/cli/bridge/text.h"

namespace fifobus::bridge {
namespace {

constexpr char kExpiresIn[] = "Fifobus-Expires-In";

absl::Duration TimeLeft(const MessageView& message, absl::Time now) {
  return absl::FromUnixNanos(static_cast<int64_t>(
             std::min<uint64_t>(message.expiry_unix_nanos, INT64_MAX))) -
         now;
}

}  // namespace

absl::Duration TimeForReply(const MessageView& request, absl::Time now) {
  if (request.expiry_unix_nanos == 0) return kReplyTime;
  return std::clamp(TimeLeft(request, now), absl::ZeroDuration(),
                    kReplyTimeMost);
}

void AddTimeLeft(const MessageView& request, absl::Time now,
                 std::vector<NatsMessage::Header>& headers) {
  if (request.expiry_unix_nanos == 0) return;
  const absl::Duration left =
      std::max(TimeLeft(request, now), absl::ZeroDuration());
  headers.push_back({kExpiresIn, Concat(absl::ToInt64Milliseconds(left))});
}

absl::Duration TimeForReply(const NatsMessage& request) {
  const auto milliseconds = ReadNumber(request.header(kExpiresIn).value_or(""));
  if (!milliseconds) return kReplyTime;
  return absl::Milliseconds(std::min(
      *milliseconds,
      static_cast<uint64_t>(absl::ToInt64Milliseconds(kReplyTimeMost))));
}

}  // namespace fifobus::bridge
