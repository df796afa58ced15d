#include "clients/cli/bridge/message_id.h"

#include <vector>

#include "clients/cli/bridge/text.h"

namespace fifobus::bridge {

std::string MessageId::ToString() const {
  return Concat(origin, "/", durable, "/", offset, "/", stored_unix_nanos);
}

std::optional<MessageId> MessageId::Parse(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, '/');
  if (parts.size() != 4) return std::nullopt;
  const auto offset = ReadNumber(parts[2]);
  const auto stored = ReadNumber(parts[3]);
  if (!offset || !stored) return std::nullopt;
  return MessageId{std::string(parts[0]), std::string(parts[1]), *offset,
                   *stored};
}

}  // namespace fifobus::bridge
