#include "clients/cli/shell/job.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "proto/frame.h"

namespace fifobus::cli {
namespace {

// A longer reply would fit into no frame.
constexpr size_t kOutputBytesMax = kFrameBytesMaxDefault;

}  // namespace

absl::StatusOr<std::unique_ptr<Job>> Job::Start(
    const std::string& command, const std::vector<std::string>& variables,
    std::string_view input, ShellChild::Stdout output) {
  auto child = ShellChild::Start(command, variables, output);
  if (!child.ok()) return child.status();
  auto job = std::unique_ptr<Job>(new Job());
  job->child_ = *std::move(child);
  job->input_ = input;
  return job;
}

void Job::AddPolled(std::vector<pollfd>& polled) const {
  polled.push_back({child_->end().get(), POLLIN, 0});
  // poll(2) passes over those that are closed, which are negative.
  polled.push_back({child_->input().get(), POLLOUT, 0});
  polled.push_back({child_->output().get(), POLLIN, 0});
}

Job::State Job::Advance() {
  if (child_->input().valid()) WriteInput();
  // Before the output is read, so that all that came before the end is read.
  const std::optional<int> ended = child_->Reap();
  exit_code_ = ended.value_or(0);
  if (child_->output().valid() && ReadOutput() == State::kOutputTooLong) {
    return State::kOutputTooLong;
  }
  return ended ? State::kEnded : State::kRunning;
}

void Job::WriteInput() {
  while (input_written_ < input_.size()) {
    const ssize_t bytes =
        write(child_->input().get(), input_.data() + input_written_,
              input_.size() - input_written_);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes < 0) break;  // it does not want the rest
    input_written_ += static_cast<size_t>(bytes);
  }
  child_->input().Reset();
}

Job::State Job::ReadOutput() {
  std::array<char, 65536> buffer;
  while (output_.size() <= kOutputBytesMax) {
    const ssize_t bytes =
        read(child_->output().get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return State::kRunning;
    if (bytes == 0) {
      child_->output().Reset();
      return State::kRunning;
    }
    output_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  return State::kOutputTooLong;
}

}  // namespace fifobus::cli
