// The publisher in C++ of kill_table_test.
//
//   kill_publisher live TOPIC
//   kill_publisher stored TOPIC NAME
//
// Publishes 1, 2, 3... until standard input ends. `stored` has each confirmed as
// stored, under a publisher's name, and prints each number once it is. At the
// end it prints `sent N losses L`: so many sessions ended with messages that may
// be lost.

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"

namespace {

constexpr int kBurst = 100;
constexpr absl::Duration kPatience = absl::Seconds(60);

// Waits so long for it.
bool InputHasEnded(int millis) {
  pollfd input = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&input, 1, millis) > 0;
}

void AwaitSession(fifobus::Client& client) {
  const absl::Time until = absl::Now() + kPatience;
  while (!client.Ping(kPatience).ok() && absl::Now() < until) {
  }
}

int PublishLive(fifobus::Client& client, const std::string& topic) {
  uint64_t sent = 0;
  uint64_t losses = 0;
  for (bool ended = false; !ended;) {
    ended = InputHasEnded(1);
    // The broker may have been killed since: the last number is published when
    // there is a session that knows of it.
    if (ended) AwaitSession(client);
    for (int i = 0; i < (ended ? 1 : kBurst); ++i) {
      const auto outcome = client.Publish(topic, std::to_string(sent + 1));
      if (outcome == fifobus::PublishOutcome::kSentAfterGap) {
        ++losses;
      } else if (outcome != fifobus::PublishOutcome::kSent) {
        std::cerr << client.status().message() << "\n";
        return 1;
      }
      ++sent;
    }
  }
  std::cout << "sent " << sent << " losses " << losses << std::endl;
  return 0;
}

int PublishStored(fifobus::Client& client, const std::string& topic) {
  uint64_t number = 1;
  while (!InputHasEnded(0)) {
    const std::string payload = std::to_string(number);
    fifobus::MessageFields message;
    message.topic = topic;
    message.payload = payload;
    message.sequence = number;
    const auto stored =
        client.PublishConfirmed(message, fifobus::Level::kStored, kPatience);
    if (!stored.ok()) continue;  // not known: again, with the same number
    std::cout << number << std::endl;
    ++number;
  }
  std::cout << "sent " << number - 1 << " losses 0" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const bool stored = argv[1] == std::string("stored");
  if (stored && argc != 4) return 2;
  fifobus::ClientOptions options;
  options.connect_timeout = kPatience;
  if (stored) options.publisher = argv[3];
  const auto client = fifobus::Client::Connect(options);
  if (!client.ok()) {
    std::cerr << client.status().message() << "\n";
    return 1;
  }
  return stored ? PublishStored(**client, argv[2])
                : PublishLive(**client, argv[2]);
}
