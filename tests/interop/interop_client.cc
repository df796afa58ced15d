// The C++ library as the client of interop_test: `pub TOPIC` publishes each
// line, `sub PATTERN` prints each payload and a newline.

#include <iostream>
#include <string>

#include "clients/cpp/client.h"

namespace {

int Publish(fifobus::Client& client, const std::string& topic) {
  for (std::string line; std::getline(std::cin, line);) {
    const fifobus::PublishOutcome outcome = client.Publish(topic, line);
    if (outcome != fifobus::PublishOutcome::kSent &&
        outcome != fifobus::PublishOutcome::kSentAfterGap) {
      std::cerr << client.status().message() << "\n";
      return 1;
    }
  }
  return 0;
}

int Print(fifobus::Client& client, const std::string& pattern) {
  const absl::Status subscribed = client.Subscribe(pattern);
  if (!subscribed.ok()) {
    std::cerr << subscribed.message() << "\n";
    return 1;
  }
  while (true) {
    const fifobus::Received got = client.Receive();
    if (got.outcome == fifobus::ReceiveOutcome::kMessage) {
      std::cout << got.message.payload << std::endl;
    } else if (got.outcome != fifobus::ReceiveOutcome::kGap) {
      std::cerr << client.status().message() << "\n";
      return 1;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto client = fifobus::Client::Connect({});
  if (!client.ok()) return 1;
  return argv[1] == std::string("pub") ? Publish(**client, argv[2])
                                       : Print(**client, argv[2]);
}
