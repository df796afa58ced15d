#include "clients/cli/conformance/client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

constexpr size_t kShownBytes = 60;

// A pause between two looks at something that cannot be waited for.
constexpr absl::Duration kLook = absl::Milliseconds(2);

}  // namespace

absl::StatusOr<ConformanceClient> ConformanceClient::Start(
    const std::vector<std::string>& command, bool verbose) {
  std::array<int, 2> in;
  std::array<int, 2> out;
  if (pipe2(in.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  const UniqueFd in_reader(in[0]);
  UniqueFd input(in[1]);
  if (pipe2(out.data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  UniqueFd output(out[0]);
  const UniqueFd out_writer(out[1]);
  fcntl(input.get(), F_SETFL, O_NONBLOCK);
  UniqueFd nowhere;
  if (!verbose) nowhere.Reset(open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto process = ChildProcess::Start(
      command, {in_reader.get(), out_writer.get(), nowhere.get()});
  if (!process.ok()) return process.status();
  return ConformanceClient(*std::move(process), std::move(input),
                           std::move(output));
}

absl::Status ConformanceClient::Type(std::string_view text) {
  const ssize_t bytes = write(input_.get(), text.data(), text.size());
  if (bytes == static_cast<ssize_t>(text.size())) return absl::OkStatus();
  // One that has ended already is judged by how it ended.
  if (bytes < 0 && errno == EPIPE) return absl::OkStatus();
  return absl::FailedPreconditionError("it does not read its standard input");
}

absl::Status ConformanceClient::Expect(std::string_view expected) {
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (printed_.size() < expected.size()) {
    pollfd readable = {output_.get(), POLLIN, 0};
    const int64_t rest = absl::ToInt64Milliseconds(deadline - MonotonicNow());
    std::array<char, 65536> buffer;
    ssize_t bytes = 0;
    if (rest > 0 && poll(&readable, 1, static_cast<int>(rest)) == 1) {
      bytes = read(output_.get(), buffer.data(), buffer.size());
    }
    if (bytes <= 0) break;
    printed_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  if (std::string_view(printed_).substr(0, expected.size()) != expected) {
    return absl::FailedPreconditionError(
        fmt::format("it printed {} bytes, \"{}\", and not the {} bytes \"{}\"",
                    printed_.size(), printed_.substr(0, kShownBytes),
                    expected.size(), expected.substr(0, kShownBytes)));
  }
  printed_.erase(0, expected.size());
  return absl::OkStatus();
}

absl::StatusOr<int> ConformanceClient::AwaitExit() {
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (true) {
    if (const auto result = process_.Poll()) return *result;
    if (MonotonicNow() >= deadline) {
      return absl::FailedPreconditionError("it does not end");
    }
    absl::SleepFor(kLook);
  }
}

bool ConformanceClient::IsRunning() { return !process_.Poll(); }

void ConformanceClient::Terminate() const { process_.Signal(SIGTERM); }

}  // namespace fifobus::cli
