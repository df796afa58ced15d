#include <poll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "clients/cli/attend.h"
#include "clients/cli/output.h"
#include "clients/cli/sub/sub_output.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

// How often a subscriber that spins looks whether its output is read.
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

// To standard output, and acknowledged when written out. Ends when nobody reads
// standard output any more, although there is nothing to be written.
class Printer : public SubOutput {
 public:
  Printer(Client& client, const SubOptions& options)
      : SubOutput(client, options), options_(options) {}

  void Put(const Received& got) override {
    AppendMessage(got, options_, output_.text());
    acks_.Add(got);
    if (output_.full()) Write();
  }

  bool over() const override { return written_ != Output::Outcome::kWritten; }

  Exit End(Exit otherwise) override {
    if (!over()) Write();
    return ExitOf(written_, otherwise);
  }

 private:
  Received Await(Deadline deadline) override {
    Write();
    if (over()) return {};
    if (options_.mode.busy_poll) return Spin(deadline);
    std::array<pollfd, 2> polled = {watch_, {client().fd(), POLLIN, 0}};
    PollUntil(polled, deadline);
    if (polled[0].revents != 0) written_ = Output::Outcome::kReaderGone;
    return {};
  }

  Received Spin(Deadline deadline) {
    client().set_mode(Mode::kBusyPoll);
    const Deadline look = kLookInterval;
    Received got = client().Receive(std::min(deadline, look));
    if (got.outcome != ReceiveOutcome::kTimedOut) return got;
    if (StandardOutputIsUnread()) written_ = Output::Outcome::kReaderGone;
    return {};
  }

  void Write() {
    written_ = output_.Flush();
    if (!over()) acks_.Send(client());
  }

  const SubOptions& options_;
  const pollfd watch_ = StandardOutputWatch();
  Output output_;
  Output::Outcome written_ = Output::Outcome::kWritten;
  PendingAcks acks_;
};

}  // namespace

void AppendMessage(const Received& got, const SubOptions& options,
                   std::string& out) {
  if (options.json) {
    AppendJsonLine(got.message, got.delivery, out);
    return;
  }
  if (options.format) {
    options.format->Append(got.message, got.delivery, out);
    return;
  }
  if (options.show_retained && got.delivery.retained) out += "retained ";
  if (options.show_topic) {
    out += got.message.topic;
    out += ' ';
  }
  out += got.message.payload;
  if (!options.raw) out += options.null ? '\0' : '\n';
}

std::unique_ptr<SubOutput> PrintMessages(Client& client,
                                         const SubOptions& options) {
  return std::make_unique<Printer>(client, options);
}

}  // namespace fifobus::cli
