// Prints what is published on a pattern: the C++ library in one screen.
//
//   subscriber PATTERN [COUNT]
//
// Finds the bus as `fifobus` does ($FIFOBUS_DIR, or where a broker runs), waits
// for a broker that is not there yet and comes back after one that died.

#include <cstdlib>
#include <iostream>

#include "clients/cpp/client.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: subscriber PATTERN [COUNT]\n";
    return 2;
  }
  auto client = fifobus::Client::Connect({});
  if (!client.ok()) {
    std::cerr << "subscriber: " << client.status().message() << "\n";
    return 1;
  }
  const absl::Status subscribed = (*client)->Subscribe(argv[1]);
  if (!subscribed.ok()) {
    std::cerr << "subscriber: " << subscribed.message() << "\n";
    return 1;
  }
  const long count = argc == 3 ? std::atol(argv[2]) : -1;
  for (long received = 0; received != count;) {
    const fifobus::Received got = (*client)->Receive();
    switch (got.outcome) {
      case fifobus::ReceiveOutcome::kMessage:
        std::cout << got.message.topic << ": " << got.message.payload
                  << std::endl;
        ++received;
        break;
      case fifobus::ReceiveOutcome::kGap:
        std::cerr << "subscriber: messages are lost here\n";
        break;
      default:
        std::cerr << "subscriber: " << (*client)->status().message() << "\n";
        return 1;
    }
  }
  return 0;
}
