#ifndef FIFOBUS_BENCH_DURABLE_STORAGE_H_
#define FIFOBUS_BENCH_DURABLE_STORAGE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

// What a system that stores messages must offer to be measured: one small file
// each implements it, with the system's own client library. A failure ends the
// process with one line: a load that does not run has no result.
namespace fifobus::bench {

// One connection that publishes, and is told what is stored.
//
// Thread-compatible.
class Storer {
 public:
  virtual ~Storer() = default;
  // Sends a message whose storing is to be confirmed.
  virtual void Send(std::string_view payload) = 0;
  // Has what was sent leave this process.
  virtual void Flush() {}
  // Waits for a confirmation or more. Returns how many came.
  virtual size_t Await() = 0;
};

using OnStored = std::function<void(std::string_view payload)>;

// One connection that reads what is stored, from the first message on, and then
// what comes.
//
// Thread-compatible.
class Replayer {
 public:
  virtual ~Replayer() = default;
  // Waits for a message or more and hands them on.
  virtual void Receive(const OnStored& on_stored) = 0;
};

// Each system's file defines these. `address` is a directory, a socket's path or
// a URL. `in_flight_max` is what Send is called for at most before Await.
std::unique_ptr<Storer> MakeStorer(const std::string& address,
                                   size_t in_flight_max);
std::unique_ptr<Replayer> MakeReplayer(const std::string& address);

[[noreturn]] void Die(const std::string& what);

}  // namespace fifobus::bench

#endif  // FIFOBUS_BENCH_DURABLE_STORAGE_H_
