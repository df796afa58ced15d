#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "clients/cli/bench.h"
#include "clients/cli/bench_payload.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace fifobus::cli {
namespace {

struct BenchSubOptions {
  BusOptions bus;
  ModeOptions mode;
  std::string pattern;
  uint64_t count = 0;
  absl::Duration timeout = absl::InfiniteDuration();
  bool json = false;
};

// Memory is reserved for so many latencies, so that growing does not disturb
// the measurement: 128 MiB of which only what is used is ever touched.
constexpr uint64_t kReservedMax = uint64_t{1} << 24;

// What arrived. Latencies are kept one by one, so that percentiles are exact.
class Tally {
 public:
  explicit Tally(uint64_t count) { latencies_.reserve(count); }

  void Add(std::string_view payload) {
    const int64_t now = MonotonicNanos();
    const BenchStamp stamp = ReadStamp(payload);
    first_due_ = std::min(first_due_, stamp.due_nanos);
    last_received_ = now;
    ++messages_;
    bytes_ += payload.size();
    latencies_.push_back(now - stamp.due_nanos);
    uint64_t& next = next_sequence_[stamp.id()];
    if (stamp.sequence() < next) {
      ++out_of_order_;
    } else {
      lost_ += stamp.sequence() - next;
      next = stamp.sequence() + 1;
    }
  }

  uint64_t messages() const { return messages_; }

  nlohmann::ordered_json Json() {
    std::sort(latencies_.begin(), latencies_.end());
    const double seconds =
        messages_ == 0 ? 0
                       : static_cast<double>(last_received_ - first_due_) / 1e9;
    const auto per_second = [seconds](uint64_t n) {
      return seconds > 0 ? static_cast<double>(n) / seconds : 0;
    };
    return {{"messages", messages_},
            {"bytes", bytes_},
            {"seconds", seconds},
            {"msgs_per_s", per_second(messages_)},
            {"bytes_per_s", per_second(bytes_)},
            {"lost", lost_},
            {"out_of_order", out_of_order_},
            {"latency_us",
             {{"p50", Micros(0.5)},
              {"p90", Micros(0.9)},
              {"p99", Micros(0.99)},
              {"p999", Micros(0.999)},
              {"max", Micros(1)}}}};
  }

 private:
  // REQUIRES: latencies_ is sorted.
  double Micros(double quantile) const {
    if (latencies_.empty()) return 0;
    const double last = static_cast<double>(latencies_.size() - 1);
    return static_cast<double>(
               latencies_[static_cast<size_t>(quantile * last)]) /
           1000;
  }

  uint64_t messages_ = 0;
  uint64_t bytes_ = 0;
  uint64_t lost_ = 0;
  uint64_t out_of_order_ = 0;
  int64_t first_due_ = std::numeric_limits<int64_t>::max();
  int64_t last_received_ = 0;
  std::map<uint16_t, uint64_t> next_sequence_;
  std::vector<int64_t> latencies_;
};

// Receives until the count or the deadline.
Exit Receive(Client& client, const BenchSubOptions& options, Tally& tally) {
  const absl::Time deadline = absl::Now() + options.timeout;
  while (tally.messages() < options.count) {
    const Received got = client.Receive(deadline);
    switch (got.outcome) {
      case ReceiveOutcome::kMessage:
        if (got.message.payload.size() >= kBenchPayloadBytesMin) {
          tally.Add(got.message.payload);
        }
        break;
      case ReceiveOutcome::kGap:
        break;  // shows as lost
      case ReceiveOutcome::kWouldBlock:
        if (absl::Now() >= deadline) return kTimedOut;
        WaitReadable(client, deadline);
        break;
      case ReceiveOutcome::kTimedOut:
        return kTimedOut;
      case ReceiveOutcome::kDisconnected:
        return Fail(client.status());
    }
  }
  return kDone;
}

Exit BenchSub(const BenchSubOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus bench sub");
  if (!client.ok()) return Fail(client.status());
  const absl::Status status = (*client)->Subscribe(options.pattern);
  if (!status.ok()) return Fail(status);
  (*client)->set_mode(options.mode.mode());
  Tally tally(std::min(options.count, kReservedMax));
  const Exit exit = Receive(**client, options, tally);
  const nlohmann::ordered_json result = tally.Json();
  if (options.json) {
    fmt::print("{}\n", result.dump());
  } else {
    for (const auto& [name, value] : result.items()) {
      fmt::print("{:<14}{}\n", name, value.dump());
    }
  }
  return exit;
}

}  // namespace

void AddBenchSub(CLI::App& bench, Exit& exit) {
  CLI::App& sub =
      *bench.add_subcommand("sub", "receive a load and say how it went");
  auto options = std::make_shared<BenchSubOptions>();
  options->bus.AddTo(sub);
  options->mode.AddTo(sub);
  sub.add_option("PATTERN", options->pattern)->required();
  sub.add_option("--count", options->count, "messages")->required();
  AddDuration(sub, "--timeout", options->timeout,
              "end after this time, with what there is and exit code 3");
  sub.add_flag("--json", options->json, "one JSON object");
  sub.callback([options, &exit] { exit = BenchSub(*options); });
}

}  // namespace fifobus::cli
