#ifndef FIFOBUS_BENCH_LOAD_TRANSPORT_H_
#define FIFOBUS_BENCH_LOAD_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

// What a messaging system must offer to be measured: one small file each
// implements it, with the system's own client library. A failure ends the
// process with one line: a load that does not run has no result.
namespace fifobus::bench {

// How a subscriber waits.
enum class Wait {
  kBlocking,  // the system's own blocking receive
  kEpoll,     // non-blocking receive, and epoll or poll when there is nothing
  kSleep,     // non-blocking receive, and a sleep of 1 ms: the polling loop
  kBusy,      // non-blocking receive, again and again
};

struct LoadOptions {
  std::string address;  // a directory, a socket's path or a URL
  size_t size = 64;     // bytes of each payload
  Wait wait = Wait::kBlocking;
  bool batch = false;  // whether the publisher may gather messages
};

// The topic of every load.
inline constexpr std::string_view kTopic = "load";

// A silence of this length ends a load: it is over, or the rest was lost.
inline constexpr int kIdleMillis = 1500;

class Publisher {
 public:
  virtual ~Publisher() = default;
  // Sends a message, or gathers it if options.batch. Waits as long as the
  // system makes its publishers wait.
  virtual void Publish(std::string_view payload) = 0;
  // Sends what was gathered. Called before each sleep and at the end.
  virtual void Flush() = 0;
  // Called once, at the end: whatever is left must reach the broker.
  virtual void Close() { Flush(); }
};

using OnPayload = std::function<void(std::string_view payload)>;

class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // Waits as options.wait says for one message or more and hands them on.
  // False: none came within kIdleMillis.
  virtual bool Receive(const OnPayload& on_payload) = 0;
};

// Each system's file defines these. The subscription stands when it returns,
// as far as the system can tell.
std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options);
std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options);

// The broker of a system that has none of its own: forwards from one address to
// others until it is killed. By default there is none.
struct RelayOptions {
  std::string from;
  std::string to;  // for raw FIFOs several, separated by commas
  Wait wait = Wait::kBlocking;
  bool tee = false;
};
[[noreturn]] void RunRelay(const RelayOptions& options);

[[noreturn]] void Die(const std::string& what);

// Between two attempts that found nothing: sleeps 1 ms if kSleep, else nothing.
void Pause(Wait wait);

}  // namespace fifobus::bench

#endif  // FIFOBUS_BENCH_LOAD_TRANSPORT_H_
