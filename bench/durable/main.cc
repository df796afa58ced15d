// The command line of every program that measures storing:
//
//   PROGRAM store ADDRESS --seconds S --size B [--publishers P] [--in-flight K]
//   PROGRAM replay ADDRESS --count N
//   PROGRAM through ADDRESS --count N --size B --rate R
//   PROGRAM send ADDRESS --count N --size B [--rate R | --in-flight K]
//   PROGRAM receive ADDRESS --count N
//
// `store` has P threads, each with a connection and K messages in flight, and
// prints how many messages a second were confirmed as stored. `replay` reads the
// first N messages. `through` publishes at a rate, reads the messages out of the
// log, and prints how long they took. `send` and `receive` are its two halves,
// for two systems with a bridge between them; without a rate K messages are in
// flight, and what they took means little. All print one JSON object.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/durable/storage.h"
#include "clients/cli/bench/clock.h"
#include "clients/cli/command.h"
#include "fmt/format.h"

namespace fifobus::bench {
namespace {

struct Load {
  std::string address;
  double seconds = 1;
  size_t size = 200;
  size_t publishers = 1;
  size_t in_flight = 1;
  uint64_t count = 0;
  double rate = 0;
};

double Seconds(int64_t nanos) { return static_cast<double>(nanos) / 1e9; }

// Keeps `in_flight` messages unconfirmed until the end. Returns how many were
// confirmed.
uint64_t StoreUntil(Storer& storer, const Load& load, int64_t end_nanos) {
  const std::string payload(load.size, 'x');
  uint64_t stored = 0;
  size_t in_flight = 0;
  while (cli::MonotonicNanos() < end_nanos) {
    for (; in_flight < load.in_flight; ++in_flight) storer.Send(payload);
    storer.Flush();
    const size_t confirmed = storer.Await();
    in_flight -= confirmed;
    stored += confirmed;
  }
  const uint64_t in_time = stored;
  while (in_flight > 0) in_flight -= storer.Await();
  return in_time;
}

void Store(const Load& load) {
  std::vector<std::unique_ptr<Storer>> storers;
  for (size_t i = 0; i < load.publishers; ++i) {
    storers.push_back(MakeStorer(load.address, load.in_flight));
  }
  const int64_t begin = cli::MonotonicNanos();
  const int64_t end = begin + static_cast<int64_t>(load.seconds * 1e9);
  std::atomic<uint64_t> stored{0};
  std::vector<std::thread> threads;
  for (const std::unique_ptr<Storer>& storer : storers) {
    threads.emplace_back([&load, &stored, end, &each = *storer] {
      stored += StoreUntil(each, load, end);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << fmt::format("{{\"stored_per_s\":{}}}",
                           static_cast<double>(stored.load()) / load.seconds)
            << std::endl;
}

void Replay(const Load& load) {
  const int64_t begin = cli::MonotonicNanos();
  const std::unique_ptr<Replayer> replayer = MakeReplayer(load.address);
  uint64_t messages = 0;
  uint64_t bytes = 0;
  while (messages < load.count) {
    replayer->Receive([&](std::string_view payload) {
      ++messages;
      bytes += payload.size();
    });
  }
  const double seconds = Seconds(cli::MonotonicNanos() - begin);
  std::cout << fmt::format("{{\"messages_per_s\":{},\"bytes_per_s\":{}}}",
                           static_cast<double>(messages) / seconds,
                           static_cast<double>(bytes) / seconds)
            << std::endl;
}

// Publishes at the rate; each message bears the time when it was due.
void PublishAtRate(const Load& load) {
  const std::unique_ptr<Storer> storer = MakeStorer(load.address, load.count);
  std::string payload(load.size, 'x');
  cli::WakePunctually();
  const int64_t begin = cli::MonotonicNanos();
  for (uint64_t i = 0; i < load.count; ++i) {
    const int64_t due =
        begin + static_cast<int64_t>(static_cast<double>(i) * 1e9 / load.rate);
    if (cli::MonotonicNanos() < due) cli::SleepUntil(due);
    std::memcpy(payload.data(), &due, sizeof(due));
    storer->Send(payload);
    storer->Flush();
  }
  for (uint64_t confirmed = 0; confirmed < load.count;) {
    confirmed += storer->Await();
  }
}

// Keeps `in_flight` messages unconfirmed; each bears the time of its sending.
void PublishAtOnce(const Load& load) {
  const std::unique_ptr<Storer> storer =
      MakeStorer(load.address, load.in_flight);
  std::string payload(load.size, 'x');
  size_t in_flight = 0;
  for (uint64_t sent = 0; sent < load.count;) {
    for (; in_flight < load.in_flight && sent < load.count; ++in_flight) {
      const int64_t now = cli::MonotonicNanos();
      std::memcpy(payload.data(), &now, sizeof(now));
      storer->Send(payload);
      ++sent;
    }
    storer->Flush();
    in_flight -= storer->Await();
  }
  while (in_flight > 0) in_flight -= storer->Await();
}

void Send(const Load& load) {
  if (load.rate > 0) {
    PublishAtRate(load);
  } else {
    PublishAtOnce(load);
  }
  std::cout << "{}" << std::endl;
}

// How long each message took, and how many came a second, from the first to the
// last.
struct Arrivals {
  std::vector<double> micros;
  double per_second = 0;
};
Arrivals ReceiveAll(const Load& load) {
  Arrivals arrivals;
  int64_t first = 0;
  const std::unique_ptr<Replayer> replayer = MakeReplayer(load.address);
  while (arrivals.micros.size() < load.count) {
    replayer->Receive([&](std::string_view payload) {
      int64_t due = 0;
      std::memcpy(&due, payload.data(), sizeof(due));
      const int64_t now = cli::MonotonicNanos();
      if (arrivals.micros.empty()) first = now;
      arrivals.micros.push_back(static_cast<double>(now - due) / 1e3);
    });
  }
  arrivals.per_second =
      static_cast<double>(load.count) / Seconds(cli::MonotonicNanos() - first);
  return arrivals;
}

void Print(Arrivals arrivals) {
  std::vector<double>& micros = arrivals.micros;
  std::sort(micros.begin(), micros.end());
  const auto at = [&](double quantile) {
    return micros[static_cast<size_t>(quantile *
                                      static_cast<double>(micros.size() - 1))];
  };
  std::cout << fmt::format(
                   "{{\"messages_per_s\":{},"
                   "\"latency_us\":{{\"p50\":{},\"p99\":{}}}}}",
                   arrivals.per_second, at(0.5), at(0.99))
            << std::endl;
}

void Receive(const Load& load) { Print(ReceiveAll(load)); }

void Through(const Load& load) {
  Arrivals arrivals;
  std::thread reader([&] { arrivals = ReceiveAll(load); });
  PublishAtRate(load);
  reader.join();
  Print(std::move(arrivals));
}

cli::Command& AddRole(cli::Command& program, const std::string& name,
                      Load& load, std::function<void(const Load&)> role) {
  cli::Command& command = program.Add(name, "");
  command.AddText("ADDRESS", load.address, "").Required();
  command.OnRun([&load, role = std::move(role)] {
    role(load);
    return cli::kDone;
  });
  return command;
}

void AddSize(cli::Command& role, Load& load) {
  role.AddCount("--size", load.size, {sizeof(int64_t), size_t{1} << 24}, "");
}

int Main(int argc, char** argv) {
  cli::Command program("durable", "one part of a load that stores");
  Load load;
  cli::Command& store = AddRole(program, "store", load, Store);
  AddSize(store, load);
  store.AddRate("--seconds", load.seconds, "");
  store.AddCount("--publishers", load.publishers, cli::kAnyCount, "");
  store.AddCount("--in-flight", load.in_flight, cli::kAnyCount, "");
  cli::Command& replay = AddRole(program, "replay", load, Replay);
  replay.AddCount("--count", load.count, cli::kAnyCount, "").Required();
  cli::Command& through = AddRole(program, "through", load, Through);
  AddSize(through, load);
  through.AddCount("--count", load.count, cli::kAnyCount, "").Required();
  through.AddRate("--rate", load.rate, "").Required();
  cli::Command& send = AddRole(program, "send", load, Send);
  AddSize(send, load);
  send.AddCount("--count", load.count, cli::kAnyCount, "").Required();
  send.AddRate("--rate", load.rate, "");
  send.AddCount("--in-flight", load.in_flight, cli::kAnyCount, "");
  cli::Command& receive = AddRole(program, "receive", load, Receive);
  receive.AddCount("--count", load.count, cli::kAnyCount, "").Required();
  return program.Run(argc, argv);
}

}  // namespace

void Die(const std::string& what) {
  std::cerr << "durable: " << what << std::endl;
  _exit(1);
}

}  // namespace fifobus::bench

int main(int argc, char** argv) { return fifobus::bench::Main(argc, argv); }
