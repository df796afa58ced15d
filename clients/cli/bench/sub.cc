#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "clients/cli/bench/bench.h"
#include "clients/cli/bench/payload.h"
#include "clients/cli/bench/tally.h"
#include "clients/cli/help/manual.h"
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

// Receives until the count or the deadline.
Exit Receive(Client& client, const BenchSubOptions& options,
             BenchTally& tally) {
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
      case ReceiveOutcome::kConfirmation:
      case ReceiveOutcome::kReply:
        break;  // never asked for
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
  BenchTally tally(options.count);
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
  Explain(sub,
          "Examples:\n"
          "  fifobus bench sub load --count 1000 --timeout 30s");
  sub.callback([options, &exit] { exit = BenchSub(*options); });
}

}  // namespace fifobus::cli
