#ifndef FIFOBUS_PROTO_VERSION_H_
#define FIFOBUS_PROTO_VERSION_H_

#include <cstdint>
#include <string_view>

namespace fifobus {

// Of the release; CHANGELOG.md has its history.
inline constexpr std::string_view kVersion = "0.1.0";

// Of what FRAMING.md describes. Raised when an old peer could no longer follow.
inline constexpr uint32_t kProtocolVersion = 1;

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_VERSION_H_
