#include "clients/cli/bench/tally.h"

#include <algorithm>

#include "clients/cli/bench/clock.h"
#include "clients/cli/bench/payload.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// Memory is reserved for so many latencies, so that growing does not disturb
// the measurement: 128 MiB of which only what is used is ever touched.
constexpr uint64_t kReservedMax = uint64_t{1} << 24;

}  // namespace

std::string JsonObject(const JsonMembers& members) {
  std::string object = "{";
  for (const auto& [name, value] : members) {
    object +=
        fmt::format("{}\"{}\":{}", object.size() == 1 ? "" : ",", name, value);
  }
  object += '}';
  return object;
}

BenchTally::BenchTally(uint64_t count) {
  latencies_.reserve(std::min(count, kReservedMax));
}

void BenchTally::Add(std::string_view payload) {
  const BenchStamp stamp = ReadStamp(payload);
  ++messages_;
  bytes_ += payload.size();
  if (stamp.due_nanos != last_due_) {
    last_due_ = stamp.due_nanos;
    last_received_ = MonotonicNanos();
    first_due_ = std::min(first_due_, stamp.due_nanos);
    latencies_.push_back(last_received_ - stamp.due_nanos);
  }
  uint64_t& next = next_sequence_[stamp.id()];
  if (stamp.sequence() < next) {
    ++out_of_order_;
  } else {
    lost_ += stamp.sequence() - next;
    next = stamp.sequence() + 1;
  }
}

JsonMembers BenchTally::Result() {
  std::sort(latencies_.begin(), latencies_.end());
  const double seconds =
      messages_ == 0 ? 0
                     : static_cast<double>(last_received_ - first_due_) / 1e9;
  const auto per_second = [seconds](uint64_t n) {
    return fmt::format("{}",
                       seconds > 0 ? static_cast<double>(n) / seconds : 0);
  };
  return {{"messages", fmt::format("{}", messages_)},
          {"bytes", fmt::format("{}", bytes_)},
          {"seconds", fmt::format("{}", seconds)},
          {"msgs_per_s", per_second(messages_)},
          {"bytes_per_s", per_second(bytes_)},
          {"lost", fmt::format("{}", lost_)},
          {"out_of_order", fmt::format("{}", out_of_order_)},
          {"latency_us", JsonObject({{"p50", fmt::format("{}", Micros(0.5))},
                                     {"p90", fmt::format("{}", Micros(0.9))},
                                     {"p99", fmt::format("{}", Micros(0.99))},
                                     {"p999", fmt::format("{}", Micros(0.999))},
                                     {"max", fmt::format("{}", Micros(1))}})}};
}

double BenchTally::Micros(double quantile) const {
  if (latencies_.empty()) return 0;
  const double last = static_cast<double>(latencies_.size() - 1);
  return static_cast<double>(latencies_[static_cast<size_t>(quantile * last)]) /
         1000;
}

}  // namespace fifobus::cli
