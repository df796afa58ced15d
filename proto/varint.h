#ifndef FIFOBUS_PROTO_VARINT_H_
#define FIFOBUS_PROTO_VARINT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

// Base-128 varints of the protobuf wire format:
// https://protobuf.dev/programming-guides/encoding/#varints
namespace fifobus {

inline constexpr size_t kVarintBytesMax = 10;

// Removes a varint from the front of `bytes` and returns it in `value`.
struct VarintResult {
  uint64_t value = 0;
  bool ok = false;  // false: truncated, or longer than 64 bits
};

inline VarintResult TakeVarint(std::string_view& bytes) {
  // One byte: every tag and most lengths.
  if (!bytes.empty() && static_cast<uint8_t>(bytes[0]) < 0x80) {
    const auto byte = static_cast<uint8_t>(bytes[0]);
    bytes.remove_prefix(1);
    return {byte, true};
  }
  uint64_t value = 0;
  const size_t end =
      bytes.size() < kVarintBytesMax ? bytes.size() : kVarintBytesMax;
  for (size_t i = 0; i < end; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      // The tenth byte holds one bit.
      if (i == kVarintBytesMax - 1 && byte > 1) return {};
      bytes.remove_prefix(i + 1);
      return {value, true};
    }
  }
  return {};
}

// Writes a varint at `out`, which must have room for kVarintBytesMax bytes, and
// returns the position behind it.
inline char* PutVarint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

inline constexpr size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++bytes;
  }
  return bytes;
}

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_VARINT_H_
