#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "clients/cli/attend.h"
#include "clients/cli/bench/bench.h"
#include "clients/cli/bench/clock.h"
#include "clients/cli/bench/payload.h"
#include "clients/cli/bus_options.h"

namespace fifobus::cli {
namespace {

struct BenchPubOptions {
  BusOptions bus;
  ModeOptions mode;
  std::string topic;
  uint64_t count = 0;
  size_t size = kBenchPayloadBytesMin;
  double rate = 0;  // messages a second; 0: as fast as it goes
  bool batch = false;
  uint16_t id = 0;
};

// A longer wait is spent on the session, but for its last part, which is slept
// punctually. Not tuned.
constexpr int64_t kSleptNanos = 100'000'000;

void AttendUntilAbout(Client& client, int64_t due_nanos) {
  const int64_t wait = due_nanos - MonotonicNanos() - kSleptNanos;
  if (wait > 0) (void)AttendUntil(client, absl::Nanoseconds(wait));
}

// Publishes whatever the mode says about waiting: the load is the load.
absl::Status PublishOne(Client& client, const BenchPubOptions& options,
                        std::string_view payload) {
  while (true) {
    switch (client.Publish(options.topic, payload)) {
      case PublishOutcome::kSent:
        return absl::OkStatus();
      case PublishOutcome::kWouldBlock:
        if (options.mode.non_blocking) {
          WaitReadable(client, absl::Seconds(1));
          (void)client.Flush();
        }
        continue;
      case PublishOutcome::kSentAfterGap:
        return absl::UnavailableError("the broker was restarted meanwhile");
      default:
        return client.status();
    }
  }
}

Exit BenchPub(const BenchPubOptions& options) {
  auto client = ConnectClient(options.bus, "fifobus bench pub");
  if (!client.ok()) return Fail(client.status());
  (*client)->set_mode(options.mode.mode());
  std::string payload(options.size, 'x');
  std::optional<Batch> batch;
  if (options.batch) batch.emplace(**client);
  WakePunctually();
  const int64_t begin = MonotonicNanos();
  int64_t sent_nanos = begin;
  for (uint64_t i = 0; i < options.count; ++i) {
    BenchStamp stamp;
    stamp.id_and_sequence = uint64_t{options.id} << kBenchIdShift | i;
    if (options.rate > 0) {
      // When it is due, not when it is sent: a late sender must not hide that
      // the messages waited ("coordinated omission").
      stamp.due_nanos = begin + static_cast<int64_t>(static_cast<double>(i) *
                                                     1e9 / options.rate);
      if (MonotonicNanos() < stamp.due_nanos) {
        if (options.batch) (void)(*client)->Flush();
        AttendUntilAbout(**client, stamp.due_nanos);
        SleepUntil(stamp.due_nanos);
      }
    } else {
      if (i % kBenchStampMessages == 0) sent_nanos = MonotonicNanos();
      stamp.due_nanos = sent_nanos;
    }
    WriteStamp(stamp, payload.data());
    const absl::Status status = PublishOne(**client, options, payload);
    if (!status.ok()) return Fail(status);
  }
  batch.reset();
  (*client)->set_mode(Mode::kBlocking);
  return (*client)->Flush() == PublishOutcome::kSent
             ? kDone
             : Fail((*client)->status());
}

}  // namespace

void AddBenchPub(Command& bench) {
  Command& pub = bench.Add("pub", "publish a load");
  auto options = std::make_shared<BenchPubOptions>();
  options->bus.AddTo(pub);
  options->mode.AddTo(pub);
  pub.AddText("TOPIC", options->topic, "").Required();
  pub.AddCount("--count", options->count, kAnyCount, "messages").Required();
  pub.AddCount("--size BYTES", options->size,
               {kBenchPayloadBytesMin, kFrameBytesMaxDefault},
               "bytes of each payload [16]");
  pub.AddRate("--rate", options->rate,
              "messages a second [as fast as it goes]");
  pub.AddFlag("--batch", options->batch, "many messages in one write");
  pub.AddCount("--id", options->id, kAnyCount,
               "tells several publishers apart, 0 to 65535 [0]");
  pub.Explain(
      "Examples:\n"
      "  fifobus bench pub load --count 1000 --rate 500");
  pub.OnRun([options] { return BenchPub(*options); });
}

}  // namespace fifobus::cli
