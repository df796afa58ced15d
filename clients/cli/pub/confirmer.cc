#include "clients/cli/pub/confirmer.h"

#include <algorithm>
#include <array>
#include <string>

#include "absl/time/time.h"
#include "clients/cli/attend.h"
#include "fmt/format.h"

namespace fifobus::cli {
namespace {

// Messages that may be on their way. Many, so that one commit of a log stores
// many; and few enough that a failure is told soon. Not tuned.
constexpr uint64_t kInFlightMax = 32768;

std::string LineOf(const Confirmation& confirmation) {
  if (confirmation.duplicate) {
    return fmt::format("duplicate {}\n", confirmation.offset);
  }
  const std::string takers =
      fmt::format("{} {}", confirmation.sessions, confirmation.taps);
  switch (confirmation.level) {
    case Level::kWritten:
      return fmt::format("written {} {}\n", confirmation.offset, takers);
    case Level::kStored:
      return fmt::format("stored {} {}\n", confirmation.offset, takers);
    case Level::kNone:
    case Level::kAccepted:
      break;
  }
  return fmt::format("accepted {}\n", takers);
}

}  // namespace

Confirmer::Confirmer(Client& client, const PubOptions& options)
    : client_(client),
      options_(options),
      level_(*options.confirm),
      output_watch_(StandardOutputWatch()) {}

void Confirmer::Ask(MessageFields& message) {
  message.confirm_id = asked_ + 1;
  message.confirm_level = level_ == Level::kAccepted ? 0 : LevelInFrame(level_);
}

absl::Status Confirmer::OnPublished() {
  ++asked_;
  return asked_ - answered_ < kInFlightMax ? absl::OkStatus()
                                           : AwaitFewer(kInFlightMax / 2);
}

absl::Status Confirmer::Take() {
  client_.set_mode(Mode::kNonBlocking);
  absl::Status status;
  bool more = true;
  while (more && status.ok()) {
    const Received got = client_.Receive();
    more = got.outcome != ReceiveOutcome::kWouldBlock;
    if (got.outcome == ReceiveOutcome::kConfirmation) {
      status = Print(got.confirmation);
    } else if (got.outcome == ReceiveOutcome::kDisconnected) {
      status = client_.status();
    }
  }
  client_.set_mode(Mode::kBlocking);
  const absl::Status written = Write();
  return written.ok() ? status : written;
}

absl::Status Confirmer::Print(const Confirmation& confirmation) {
  const uint64_t number = ++answered_;
  if (confirmation.level == Level::kNone) {
    // If the client has failed for good, the reason says more.
    const absl::Status& why = client_.status();
    if (!why.ok() && !absl::IsUnavailable(why)) return why;
    return absl::UnavailableError(fmt::format(
        "it is not known whether message {} was taken, because its session was "
        "lost; with --publisher and --confirm=stored it would be sent again",
        number));
  }
  if (confirmation.level < level_) {
    return absl::DataLossError(fmt::format(
        "message {} is not stored: {}", number,
        confirmation.failure == ConfirmFailure::kNone
            ? "the broker is older than this program and keeps no logs"
            : ConfirmFailureText(confirmation.failure)));
  }
  if (confirmation.duplicate) ++duplicates_;
  lines_.text() += LineOf(confirmation);
  return lines_.full() ? Write() : absl::OkStatus();
}

absl::Status Confirmer::Write() {
  if (written_ == Output::Outcome::kWritten) written_ = lines_.Flush();
  return written_ == Output::Outcome::kWritten
             ? absl::OkStatus()
             : absl::CancelledError("standard output");
}

absl::Status Confirmer::Await(int input, Deadline deadline) {
  while (true) {
    std::array<pollfd, 3> polled = {
        {{input, POLLIN, 0}, output_watch_, {client_.fd(), POLLIN, 0}}};
    PollUntil(polled, deadline);
    if (polled[1].revents != 0) {
      written_ = Output::Outcome::kReaderGone;
      return absl::CancelledError("standard output");
    }
    if (polled[2].revents != 0) {
      const absl::Status status = Take();
      if (!status.ok()) return status;
    }
    if (polled[0].revents != 0 || deadline.HasCome()) return absl::OkStatus();
  }
}

absl::Status Confirmer::AwaitFewer(uint64_t most) {
  // What a batch holds is not on its way.
  (void)client_.Flush(options_.timeout);
  absl::Status status = Take();
  Deadline deadline = options_.timeout;
  while (status.ok() && asked_ - answered_ > most) {
    const uint64_t answered = answered_;
    status = Await(-1, std::min(deadline, Deadline(absl::Seconds(1))));
    if (answered_ != answered) deadline = options_.timeout;
    if (status.ok() && asked_ - answered_ > most && deadline.HasCome()) {
      return absl::DeadlineExceededError(fmt::format(
          "the confirmation of message {} did not come in {}; it is not known "
          "whether the message was taken",
          answered_ + 1, absl::FormatDuration(options_.timeout)));
    }
  }
  return status;
}

}  // namespace fifobus::cli
