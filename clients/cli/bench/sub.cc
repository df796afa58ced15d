#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "clients/cli/attend.h"
#include "clients/cli/bench/bench.h"
#include "clients/cli/bench/payload.h"
#include "clients/cli/bench/tally.h"
#include "clients/cli/bus_options.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"

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
Exit Receive(Client& client, const BenchSubOptions& options, Deadline deadline,
             BenchTally& tally) {
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
      case ReceiveOutcome::kCaughtUp:
        break;  // never asked for
      case ReceiveOutcome::kWouldBlock:
        if (deadline.HasCome()) return kTimedOut;
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
  const Deadline deadline = options.timeout;
  auto client = ConnectClient(options.bus, "fifobus bench sub",
                              /*client_options=*/{}, options.timeout);
  if (!client.ok()) return Fail(client.status());
  const absl::Status status = (*client)->Subscribe(options.pattern);
  if (!status.ok()) return Fail(status);
  (*client)->set_mode(options.mode.mode());
  BenchTally tally(options.count);
  const Exit exit = Receive(**client, options, deadline, tally);
  const JsonMembers result = tally.Result();
  if (options.json) {
    fmt::print("{}\n", JsonObject(result));
  } else {
    for (const auto& [name, value] : result) {
      fmt::print("{:<14}{}\n", name, value);
    }
  }
  return exit;
}

}  // namespace

void AddBenchSub(Command& bench) {
  Command& sub = bench.Add("sub", "receive a load and say how it went");
  auto options = std::make_shared<BenchSubOptions>();
  options->bus.AddTo(sub);
  options->mode.AddTo(sub);
  sub.AddText("PATTERN", options->pattern, "").Required();
  sub.AddCount("--count", options->count, kAnyCount, "messages").Required();
  sub.AddDuration("--timeout", options->timeout,
                  "end after this time, with what there is and exit code 3");
  sub.AddFlag("--json", options->json, "one JSON object");
  sub.Explain(
      "Examples:\n"
      "  fifobus bench sub load --count 1000 --timeout 30s");
  sub.OnRun([options] { return BenchSub(*options); });
}

}  // namespace fifobus::cli
