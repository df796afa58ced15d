// Idle sessions beside a load: N clients, each with M patterns that match
// nothing of the load. Prints "ready", and leaves when its input ends.
//
//   crowd DIR --sessions N --patterns M
#include <sys/resource.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "clients/cpp/client.h"

namespace fifobus::bench {
namespace {

int Fail(const absl::Status& status) {
  std::cerr << "crowd: " << status.message() << std::endl;
  return 1;
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// A third each of plain topics and of both kinds of wildcards.
std::string Pattern(int number) {
  const std::string topic = "crowd/" + std::to_string(number);
  switch (number % 3) {
    case 0:
      return topic;
    case 1:
      return topic + "/*/state";
    default:
      return topic + "/**";
  }
}

int Main(int argc, char** argv) {
  CLI::App app("idle sessions");
  std::string dir;
  int sessions = 0;
  int patterns = 0;
  app.add_option("DIR", dir)->required();
  app.add_option("--sessions", sessions)->required();
  app.add_option("--patterns", patterns)->required();
  CLI11_PARSE(app, argc, argv);
  RaiseDescriptorLimit();
  std::vector<std::unique_ptr<Client>> clients;
  int number = 0;
  for (int i = 0; i < sessions; ++i) {
    ClientOptions options;
    options.dir = dir;
    options.client_name = "crowd";
    auto client = Client::Connect(options);
    if (!client.ok()) return Fail(client.status());
    for (int j = 0; j < patterns; ++j) {
      const absl::Status status = (*client)->Subscribe(Pattern(number++));
      if (!status.ok()) return Fail(status);
    }
    clients.push_back(*std::move(client));
  }
  std::cout << "ready" << std::endl;
  std::cin.get();
  return 0;
}

}  // namespace
}  // namespace fifobus::bench

int main(int argc, char** argv) { return fifobus::bench::Main(argc, argv); }
