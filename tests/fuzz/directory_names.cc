// Any names, of any kinds, in the folders of a bus: its broker goes on serving,
// and makes a tap of valid topics only.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/time/time.h"
#include "broker/base/log.h"
#include "clients/cpp/client.h"
#include "proto/topic.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"
#include "tests/support/bus_support.h"

namespace fifobus::fuzz {
namespace {

// A broker, and a client of it that publishes to itself.
struct Served {
  Served() {
    StartLog(LogLevel::kOff);
    client = bus.Connect();
    Require(client->Subscribe("fuzz/served").ok(), "the client subscribes");
  }

  void CheckServed() {
    const std::string payload = std::to_string(++published);
    MessageFields message;
    message.topic = "fuzz/served";
    message.payload = payload;
    Require(client->Publish(message) == PublishOutcome::kSent, "it publishes");
    const Received got = client->Receive(kHang);
    Require(got.outcome == ReceiveOutcome::kMessage &&
                got.message.payload == payload,
            "it receives");
  }

  void CheckTaps() {
    const pb::StatsReply stats = bus.broker().CollectStats();
    for (const auto& tap : stats.taps()) {
      const std::string_view name = tap.name();
      const size_t out = name.rfind(".out/");
      Require(out != std::string_view::npos &&
                  CheckTopic(name.substr(0, out)) == TopicFault::kNone,
              "a tap has a valid topic");
    }
    for (const auto& topic : stats.topics()) {
      Require(CheckTopic(topic.name()) == TopicFault::kNone,
              "a topic has a valid name");
    }
  }

  const TestBus bus;
  std::unique_ptr<Client> client;
  uint64_t published = 0;
};

void Make(const std::string& folder, uint8_t kind, std::string_view bytes) {
  // What the kernel takes as one name.
  std::string name(bytes.substr(0, bytes.find('\0')));
  for (char& c : name) {
    if (c == '/') c = '_';
  }
  if (name.empty() || name == "." || name == "..") return;
  const std::string path = folder + "/" + name;
  switch (kind % 5) {
    case 0:
      (void)mkfifo(path.c_str(), 0600);
      break;
    case 1:
      (void)mkdir(path.c_str(), 0700);
      // And something in it.
      (void)mkfifo((path + "/x.in").c_str(), 0600);
      (void)mkfifo((path + "/me").c_str(), 0600);
      break;
    case 2:
      std::ofstream(path) << "a line\n";
      break;
    case 3:
      (void)symlink("/dev/null", path.c_str());
      break;
    default:
      (void)rename(path.c_str(), (folder + "/b.in").c_str());
  }
}

void RemoveAll(const std::string& folder) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    std::filesystem::remove_all(file.path(), error);
  }
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus::fuzz;      // NOLINT
  static auto& served = *new Served;  // its threads run until the end
  Input input(data, size);
  for (int left = 8; left > 0 && !input.empty(); --left) {
    const uint8_t kind = input.Byte();
    const char* const folder = kind >= 128 ? "/sessions" : "/topics";
    Make(served.bus.dir() + folder, kind, input.Text());
  }
  served.CheckServed();
  served.CheckTaps();
  RemoveAll(served.bus.dir() + "/topics");
  RemoveAll(served.bus.dir() + "/sessions");
  served.CheckServed();
  return 0;
}
