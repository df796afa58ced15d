#ifndef FIFOBUS_CLIENTS_CLI_BENCH_TALLY_H_
#define FIFOBUS_CLIENTS_CLI_BENCH_TALLY_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fifobus::cli {

// Members of a JSON object: each name, and its value as JSON.
using JsonMembers = std::vector<std::pair<std::string, std::string>>;
std::string JsonObject(const JsonMembers& members);

// What arrived of a load. Every latency is kept, so that percentiles are exact.
// Of messages that share a stamp only the first has a latency.
// Thread-compatible.
class BenchTally {
 public:
  // Of about `count` messages.
  explicit BenchTally(uint64_t count);

  // A payload that begins with a BenchStamp.
  void Add(std::string_view payload);

  uint64_t messages() const { return messages_; }

  // messages, bytes, seconds, msgs_per_s, bytes_per_s, lost, out_of_order,
  // latency_us: {p50, p90, p99, p999, max}, where the seconds go from the
  // first message's due time to the last one's arrival.
  JsonMembers Result();

  // The latency in microseconds that this part of the messages did not exceed.
  // REQUIRES: Result() was called, and nothing added since.
  double Micros(double quantile) const;

 private:
  uint64_t messages_ = 0;
  uint64_t bytes_ = 0;
  uint64_t lost_ = 0;
  uint64_t out_of_order_ = 0;
  int64_t first_due_ = std::numeric_limits<int64_t>::max();
  int64_t last_due_ = -1;
  int64_t last_received_ = 0;
  std::map<uint16_t, uint64_t> next_sequence_;
  std::vector<int64_t> latencies_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_BENCH_TALLY_H_
