#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "clients/cli/output.h"
#include "clients/cli/sub/sub_output.h"
#include "proto/message_text.h"

namespace fifobus::cli {
namespace {

// To standard output, and acknowledged when written out.
class Printer : public SubOutput {
 public:
  Printer(Client& client, const SubOptions& options)
      : client_(client), options_(options) {}

  void Put(const Received& got) override {
    AppendMessage(got, options_, output_.text());
    acks_.Add(got);
    if (output_.full()) Write();
  }

  Received Await(absl::Time deadline) override {
    Write();
    if (over()) return {};
    client_.set_mode(options_.mode.mode());
    if (options_.mode.non_blocking) WaitReadable(client_, deadline);
    return client_.Receive(deadline);
  }

  bool over() const override { return written_ != Output::Outcome::kWritten; }

  Exit End(Exit otherwise) override {
    if (!over()) Write();
    return ExitOf(written_, otherwise);
  }

 private:
  void Write() {
    written_ = output_.Flush();
    if (!over()) acks_.Send(client_);
  }

  Client& client_;
  const SubOptions& options_;
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
