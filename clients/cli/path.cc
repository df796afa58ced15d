#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <string>

#include "clients/cli/bus_options.h"
#include "clients/cli/commands.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

struct PathOptions {
  BusOptions bus;
  std::string topic;
};

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, fmt::format("mkdir {}", path));
}

// The broker sees `.out` appear and opens `.in`; making `.in` here too lets a
// writer open it right away and wait for that moment, instead of making a
// regular file.
absl::Status MakeTap(const std::string& topics, const std::string& topic) {
  std::string folder = topics;
  const TopicLevels levels = SplitLevels(topic);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    folder += fmt::format("/{}", levels[i]);
    const absl::Status status = MakeFolder(folder);
    if (!status.ok()) return status;
  }
  const std::string in = fmt::format("{}/{}.in", topics, topic);
  if (mkfifo(in.c_str(), 0600) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, fmt::format("mkfifo {}", in));
  }
  return MakeFolder(fmt::format("{}/{}.out", topics, topic));
}

Exit Path(const PathOptions& options) {
  const TopicFault fault = CheckTopic(options.topic);
  if (fault != TopicFault::kNone || IsReserved(options.topic)) {
    return Fail(absl::InvalidArgumentError(fmt::format(
        "the topic \"{}\" {}", options.topic,
        fault == TopicFault::kNone ? "is the broker's own: it begins with $"
                                   : TopicFaultText(fault))));
  }
  const auto bus = AwaitBus(options.bus);
  if (!bus.ok()) return Fail(bus.status());
  const absl::Status status = MakeTap(*bus + "/topics", options.topic);
  if (!status.ok()) return Fail(status);
  fmt::print("{}/topics/{}.in\n", *bus, options.topic);
  return kDone;
}

}  // namespace

void AddPath(Command& program) {
  Command& path = program.Add(
      "path",
      "make a topic's FIFOs and print the path of the one to write lines to");
  auto options = std::make_shared<PathOptions>();
  options->bus.AddTo(path);
  path.AddText("TOPIC", options->topic, "such as sensors/kitchen/temp")
      .Required();
  path.Explain(
      "To read: mkfifo DIR/topics/TOPIC.out/NAME; cat that FIFO. A name "
      "ending in .json gives JSON lines, in .frames whole frames.\n\n"
      "Examples:\n"
      "  echo Hello > \"$(fifobus path greetings)\"");
  path.OnRun([options] { return Path(*options); });
}

}  // namespace fifobus::cli
