// The command line of every load program:
//
//   PROGRAM pub ADDRESS --count N --size S [--rate R] [--batch] [--id K]
//   PROGRAM sub ADDRESS --count N --size S [--wait HOW]
//   PROGRAM ping ADDRESS --count N --size S [--wait HOW]
//   PROGRAM relay FROM TO [--wait HOW] [--tee]
//
// `sub` and `ping` print "ready" once they are subscribed. All but `relay`
// print one JSON object at the end.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/transport.h"
#include "clients/cli/bench/clock.h"
#include "clients/cli/bench/payload.h"
#include "clients/cli/bench/tally.h"
#include "clients/cli/command.h"
#include "fmt/format.h"

namespace fifobus::bench {
namespace {

using cli::BenchStamp;
using cli::BenchTally;

struct Load {
  LoadOptions options;
  uint64_t count = 0;
  double rate = 0;  // messages a second; 0: as fast as it goes
  uint16_t id = 0;
};

// What this process has used since it was ready.
class CpuClock {
 public:
  double Seconds() const { return Now() - begin_; }

 private:
  static double Now() {
    timespec used = {};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) +
           static_cast<double>(used.tv_nsec) / 1e9;
  }
  const double begin_ = Now();
};

// With a rate, the stamp of each message is the time when it was due, not the
// time when it was sent. So a stall counts for all messages that it delays.
void Publish(const Load& load) {
  const std::unique_ptr<Publisher> publisher = MakePublisher(load.options);
  std::string payload(load.options.size, 'x');
  const CpuClock cpu;
  cli::WakePunctually();
  const int64_t begin = cli::MonotonicNanos();
  int64_t now = begin;
  for (uint64_t i = 0; i < load.count; ++i) {
    BenchStamp stamp;
    stamp.id_and_sequence = uint64_t{load.id} << cli::kBenchIdShift | i;
    if (load.rate > 0 || i % cli::kBenchStampMessages == 0) {
      now = cli::MonotonicNanos();
    }
    stamp.due_nanos = now;
    if (load.rate > 0) {
      const int64_t due = begin + static_cast<int64_t>(static_cast<double>(i) *
                                                       1e9 / load.rate);
      if (stamp.due_nanos < due) {
        publisher->Flush();
        cli::SleepUntil(due);
      }
      stamp.due_nanos = due;
    }
    cli::WriteStamp(stamp, payload.data());
    publisher->Publish(payload);
  }
  publisher->Close();
  std::cout << fmt::format("{{\"cpu_s\":{}}}", cpu.Seconds()) << std::endl;
}

// The percentiles of a plot whose axis stretches towards 1: half, nine tenths,
// 99 hundredths and so on, with steps between.
std::vector<double> PlottedQuantiles() {
  std::vector<double> quantiles = {0};
  for (int i = 1; i <= 80; ++i) {
    quantiles.push_back(1 - std::pow(10, -i / 20.0));
  }
  return quantiles;
}

void Print(BenchTally& tally, double cpu_seconds) {
  cli::JsonMembers result = tally.Result();
  result.emplace_back("cpu_s", fmt::format("{}", cpu_seconds));
  std::string curve;
  for (const double quantile : PlottedQuantiles()) {
    curve += fmt::format("{}[{},{}]", curve.empty() ? "" : ",", quantile,
                         tally.Micros(quantile));
  }
  result.emplace_back("curve", fmt::format("[{}]", curve));
  std::cout << cli::JsonObject(result) << std::endl;
}

void Subscribe(const Load& load) {
  const std::unique_ptr<Subscriber> subscriber = MakeSubscriber(load.options);
  BenchTally tally(load.count);
  std::cout << "ready" << std::endl;
  const CpuClock cpu;
  while (tally.messages() < load.count) {
    const bool came = subscriber->Receive(
        [&](std::string_view payload) { tally.Add(payload); });
    if (!came && tally.messages() > 0) break;
  }
  const double used = cpu.Seconds();
  Print(tally, used);
}

// Sends a message to itself, through whatever is between, and waits for it.
void Ping(const Load& load) {
  const std::unique_ptr<Subscriber> subscriber = MakeSubscriber(load.options);
  const std::unique_ptr<Publisher> publisher = MakePublisher(load.options);
  BenchTally tally(load.count);
  std::string payload(load.options.size, 'x');
  std::cout << "ready" << std::endl;
  const CpuClock cpu;
  for (uint64_t i = 0; i < load.count; ++i) {
    BenchStamp stamp;
    stamp.id_and_sequence = i;
    stamp.due_nanos = cli::MonotonicNanos();
    cli::WriteStamp(stamp, payload.data());
    publisher->Publish(payload);
    publisher->Flush();
    while (tally.messages() <= i) {
      const bool came =
          subscriber->Receive([&](std::string_view echo) { tally.Add(echo); });
      if (!came) Die("a message did not come back");
    }
  }
  const double used = cpu.Seconds();
  Print(tally, used);
}

void AddWait(cli::Command& role, Wait& wait) {
  role.AddChoice("--wait", wait,
                 cli::Choices<Wait>{{"blocking", Wait::kBlocking},
                                    {"epoll", Wait::kEpoll},
                                    {"sleep", Wait::kSleep},
                                    {"busy", Wait::kBusy}},
                 "");
}

cli::Command& AddRole(cli::Command& program, const std::string& name,
                      Load& load) {
  cli::Command& role = program.Add(name, "");
  role.AddText("ADDRESS", load.options.address, "").Required();
  role.AddCount("--count", load.count, cli::kAnyCount, "").Required();
  role.AddCount("--size", load.options.size,
                {cli::kBenchPayloadBytesMin, size_t{1} << 24}, "")
      .Required();
  return role;
}

// A role that fails ends the process by itself, see Die.
std::function<cli::Exit()> Always(std::function<void()> role) {
  return [role = std::move(role)] {
    role();
    return cli::kDone;
  };
}

int Main(int argc, char** argv) {
  cli::Command program("load", "one part of a load");
  Load load;
  cli::Command& pub = AddRole(program, "pub", load);
  pub.AddRate("--rate", load.rate, "");
  pub.AddCount("--id", load.id, cli::kAnyCount, "");
  pub.AddFlag("--batch", load.options.batch, "");
  pub.OnRun(Always([&] { Publish(load); }));
  cli::Command& sub = AddRole(program, "sub", load);
  AddWait(sub, load.options.wait);
  sub.OnRun(Always([&] { Subscribe(load); }));
  cli::Command& ping = AddRole(program, "ping", load);
  AddWait(ping, load.options.wait);
  ping.OnRun(Always([&] { Ping(load); }));
  RelayOptions relay_options;
  cli::Command& relay = program.Add("relay", "");
  relay.AddText("FROM", relay_options.from, "").Required();
  relay.AddText("TO", relay_options.to, "").Required();
  relay.AddFlag("--tee", relay_options.tee, "");
  AddWait(relay, relay_options.wait);
  relay.OnRun(Always([&] { RunRelay(relay_options); }));
  return program.Run(argc, argv);
}

}  // namespace

void Die(const std::string& what) {
  std::cerr << "load: " << what << std::endl;
  _exit(1);
}

void Pause(Wait wait) {
  if (wait != Wait::kSleep) return;
  const timespec millisecond = {0, 1000000};
  nanosleep(&millisecond, nullptr);
}

}  // namespace fifobus::bench

int main(int argc, char** argv) { return fifobus::bench::Main(argc, argv); }
