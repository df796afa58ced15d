#ifndef FIFOBUS_CLIENTS_CLI_BENCH_PAYLOAD_H_
#define FIFOBUS_CLIENTS_CLI_BENCH_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

// The first 16 bytes of each payload that `fifobus bench pub` sends, both
// numbers in native byte order:
//
//   0  8  CLOCK_MONOTONIC nanoseconds at which the message was due
//   8  8  the publisher's id in the top 16 bits, below it a sequence from 0
namespace fifobus::cli {

inline constexpr size_t kBenchPayloadBytesMin = 16;
inline constexpr int kBenchIdShift = 48;

// Without a rate, so many messages share a stamp: a look at the clock costs as
// much as a small message.
inline constexpr uint64_t kBenchStampMessages = 16;

struct BenchStamp {
  int64_t due_nanos = 0;
  uint64_t id_and_sequence = 0;

  uint16_t id() const {
    return static_cast<uint16_t>(id_and_sequence >> kBenchIdShift);
  }
  uint64_t sequence() const {
    return id_and_sequence & ((uint64_t{1} << kBenchIdShift) - 1);
  }
};

// REQUIRES: payload.size() >= kBenchPayloadBytesMin.
inline BenchStamp ReadStamp(std::string_view payload) {
  BenchStamp stamp;
  std::memcpy(&stamp, payload.data(), sizeof(stamp));
  return stamp;
}

inline void WriteStamp(const BenchStamp& stamp, char* payload) {
  std::memcpy(payload, &stamp, sizeof(stamp));
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BENCH_PAYLOAD_H_
