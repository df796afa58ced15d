#include <iostream>

#include "clients/cpp/client.h"

int main() {
  auto client = fifobus::Client::Connect({});
  if (!client.ok()) {
    std::cerr << client.status().message() << "\n";
    return 1;
  }
  // One client publishes and receives; it may even talk to itself.
  (void)(*client)->Subscribe("greetings/**");
  (void)(*client)->Publish("greetings/cpp", "Hello from C++");
  const fifobus::Received got = (*client)->Receive();
  if (got.outcome != fifobus::ReceiveOutcome::kMessage) return 1;
  std::cout << got.message.topic << ": " << got.message.payload << "\n";
}
