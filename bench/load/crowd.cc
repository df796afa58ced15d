// Idle sessions beside a load: N clients, each with M patterns that match
// nothing of the load. Prints "ready", and leaves when its input ends.
//
//   crowd DIR --sessions N --patterns M
#include <sys/resource.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "clients/cli/command.h"
#include "clients/cpp/client.h"

namespace fifobus::bench {
namespace {

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

struct Crowd {
  std::string dir;
  uint32_t sessions = 0;
  uint32_t patterns = 0;  // of each
};

cli::Exit Stand(const Crowd& crowd) {
  RaiseDescriptorLimit();
  std::vector<std::unique_ptr<Client>> clients;
  int number = 0;
  for (uint32_t i = 0; i < crowd.sessions; ++i) {
    ClientOptions options;
    options.dir = crowd.dir;
    options.client_name = "crowd";
    auto client = Client::Connect(options);
    if (!client.ok()) return cli::Fail(client.status());
    for (uint32_t j = 0; j < crowd.patterns; ++j) {
      const absl::Status status = (*client)->Subscribe(Pattern(number++));
      if (!status.ok()) return cli::Fail(status);
    }
    clients.push_back(*std::move(client));
  }
  std::cout << "ready" << std::endl;
  std::cin.get();
  return cli::kDone;
}

int Main(int argc, char** argv) {
  cli::Command program("crowd", "idle sessions");
  Crowd crowd;
  program.AddText("DIR", crowd.dir, "").Required();
  program.AddCount("--sessions", crowd.sessions, cli::kAnyCount, "").Required();
  program.AddCount("--patterns", crowd.patterns, cli::kAnyCount, "").Required();
  program.OnRun([&crowd] { return Stand(crowd); });
  return program.Run(argc, argv);
}

}  // namespace
}  // namespace fifobus::bench

int main(int argc, char** argv) { return fifobus::bench::Main(argc, argv); }
