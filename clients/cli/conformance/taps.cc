// The requirements of proto/PROTOCOL.md that concern taps, each as a story.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/conformance/trial.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus::cli {
namespace {

constexpr absl::Duration kMoment = absl::Milliseconds(300);
constexpr absl::Duration kLook = absl::Milliseconds(2);
constexpr std::string_view kTopic = "conformance/topic";

std::string InPath(Trial& trial) {
  return fmt::format("{}/{}", trial.bus().dir(), fifobus::InPath(kTopic));
}

std::string OutPath(Trial& trial) {
  return fmt::format("{}/{}", trial.bus().dir(), fifobus::OutPath(kTopic));
}

// The broker's end of the topic's `.in`, as long as it lives.
UniqueFd MakeTopic(Trial& trial) {
  trial.Live();
  std::error_code ignored;
  std::filesystem::create_directories(OutPath(trial), ignored);
  (void)mkfifo(InPath(trial).c_str(), 0600);
  return UniqueFd(open(InPath(trial).c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

// The next writes to a pipe, `bytes` in all.
std::string Read(Trial& trial, const UniqueFd& in, size_t bytes) {
  std::string text;
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (trial.status().ok() && text.size() < bytes) {
    pollfd readable = {in.get(), POLLIN, 0};
    const int64_t rest = absl::ToInt64Milliseconds(deadline - MonotonicNow());
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    if (rest > 0 && poll(&readable, 1, static_cast<int>(rest)) == 1) {
      got = read(in.get(), buffer.data(), buffer.size());
    }
    trial.Require(got > 0, "its lines do not come");
    if (got > 0) text.append(buffer.data(), static_cast<size_t>(got));
  }
  return text;
}

// The FIFO that the client has put into the topic's folder, and a writer of it,
// as the broker makes one.
struct Tap {
  std::string path;
  UniqueFd fd;
};

Tap AwaitTap(Trial& trial) {
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (trial.status().ok() && MonotonicNow() < deadline) {
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(OutPath(trial), ignored)) {
      if (!entry.is_fifo()) continue;
      const UniqueFd both(
          open(entry.path().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
      UniqueFd writer(
          open(entry.path().c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      return {entry.path().string(), std::move(writer)};
    }
    absl::SleepFor(kLook);
  }
  trial.Require(false, "it makes no FIFO in the topic's folder");
  return {};
}

void WriteLine(Trial& trial, const Tap& tap, std::string_view text) {
  if (!trial.status().ok()) return;
  std::string line(text);
  if (tap.path.ends_with(".json")) {
    line = fmt::format(R"({{"topic":"{}","payload":"{}"}})", kTopic, text);
  }
  line += '\n';
  // Until the client has opened the FIFO nobody reads, as for the broker.
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (write(tap.fd.get(), line.data(), line.size()) < 0) {
    if (MonotonicNow() > deadline) {
      trial.Require(false, "it does not read its FIFO");
      return;
    }
    absl::SleepFor(kLook);
  }
}

void WritesWholeLines(Trial& trial) {
  const UniqueFd in = MakeTopic(trial);
  trial.Run("pub", kTopic);
  const std::string longest(4095, 'x');
  trial.Type("one\n" + longest + "\n");
  const std::string text = Read(trial, in, 4 + 4096);
  if (!trial.status().ok()) return;
  trial.Require(text == "one\n" + longest + "\n", "it wrote something else");
  trial.Type(std::string(5000, 'y') + "\n");
  trial.CloseInput();
  trial.ExpectFailureExit();
  std::array<char, 1> byte;
  trial.Require(read(in.get(), byte.data(), 1) < 0,
                "it wrote a line of more than 4,096 bytes");
}

void MakesNoRegularFile(Trial& trial) {
  trial.Live();
  trial.Run("pub", kTopic);
  trial.Type("one\n");
  trial.ExpectRunningFor(kMoment);
  struct stat status;
  trial.Require(
      stat(InPath(trial).c_str(), &status) != 0 || S_ISFIFO(status.st_mode),
      "it made a regular file in place of `.in`");
}

void WaitsForTheNextBroker(Trial& trial) {
  {
    const UniqueFd in = MakeTopic(trial);
    trial.Run("pub", kTopic);
    trial.Type("one\n");
    trial.Require(Read(trial, in, 4) == "one\n", "it wrote something else");
  }
  trial.Die();
  trial.Type("two\n");
  trial.ExpectRunningFor(kMoment);
  const UniqueFd in = MakeTopic(trial);
  trial.Require(Read(trial, in, 4) == "two\n", "the line is lost");
  trial.CloseInput();
  trial.Require(trial.AwaitExit() == 0, "it did not end with exit code 0");
}

void ReadsAFifoOfItsOwn(Trial& trial) {
  const UniqueFd in = MakeTopic(trial);
  trial.Run("sub", kTopic);
  const Tap tap = AwaitTap(trial);
  WriteLine(trial, tap, "one");
  trial.ExpectOutput("one\n");
  WriteLine(trial, tap, "two");
  trial.ExpectOutput("two\n");
}

void BearsTheEndOfABroker(Trial& trial) {
  const UniqueFd in = MakeTopic(trial);
  trial.Run("sub", kTopic);
  {
    const Tap tap = AwaitTap(trial);
    WriteLine(trial, tap, "one");
    trial.ExpectOutput("one\n");
  }
  trial.Die();
  trial.ExpectRunningFor(kMoment);
  trial.Live();
  const Tap tap = AwaitTap(trial);
  WriteLine(trial, tap, "two");
  trial.ExpectOutput("two\n");
}

void RemovesItsFifo(Trial& trial) {
  const UniqueFd in = MakeTopic(trial);
  trial.Run("sub", kTopic);
  const Tap tap = AwaitTap(trial);
  WriteLine(trial, tap, "one");
  trial.ExpectOutput("one\n");
  trial.Terminate();
  (void)trial.AwaitExit();
  struct stat status;
  trial.Require(!trial.status().ok() || stat(tap.path.c_str(), &status) != 0,
                "its FIFO is still there after SIGTERM");
}

constexpr Requirement kRequirements[] = {
    {"T1", "a line is one write of at most 4,096 bytes", WritesWholeLines},
    {"T2", "no regular file is made in place of `.in`", MakesNoRegularFile},
    {"T3", "the next broker gets what this one cannot", WaitsForTheNextBroker},
    {"T4", "a FIFO of its own is the subscription", ReadsAFifoOfItsOwn},
    {"T5", "end-of-file ends nothing", BearsTheEndOfABroker},
    {"T6", "the FIFO is removed in the end", RemovesItsFifo},
};

}  // namespace

absl::Span<const Requirement> TapRequirements() { return kRequirements; }

}  // namespace fifobus::cli
