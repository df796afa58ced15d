// fifobus, through its C++ client. The address is the bus directory.
#include <poll.h>

#include <optional>

#include "absl/time/time.h"
#include "bench/load/transport.h"
#include "clients/cpp/client.h"

namespace fifobus::bench {
namespace {

std::unique_ptr<Client> Connect(const LoadOptions& options) {
  ClientOptions client_options;
  client_options.dir = options.address;
  client_options.client_name = "load";
  auto client = Client::Connect(client_options);
  if (!client.ok()) Die(std::string(client.status().message()));
  return *std::move(client);
}

class FifobusPublisher : public Publisher {
 public:
  explicit FifobusPublisher(const LoadOptions& options)
      : client_(Connect(options)) {
    if (options.batch) batch_.emplace(*client_);
  }
  void Publish(std::string_view payload) override {
    if (client_->Publish(kTopic, payload) != PublishOutcome::kSent) {
      Die(std::string(client_->status().message()));
    }
  }
  void Flush() override {
    if (client_->Flush() != PublishOutcome::kSent) {
      Die(std::string(client_->status().message()));
    }
  }

 private:
  const std::unique_ptr<Client> client_;
  std::optional<Batch> batch_;
};

class FifobusSubscriber : public Subscriber {
 public:
  explicit FifobusSubscriber(const LoadOptions& options)
      : wait_(options.wait), client_(Connect(options)) {
    const absl::Status status = client_->Subscribe(kTopic);
    if (!status.ok()) Die(std::string(status.message()));
    if (wait_ == Wait::kBusy) client_->set_mode(Mode::kBusyPoll);
    if (wait_ == Wait::kEpoll || wait_ == Wait::kSleep) {
      client_->set_mode(Mode::kNonBlocking);
    }
  }
  bool Receive(const OnPayload& on_payload) override {
    // Not a new deadline, and so a look at the clock, for each message; and
    // none where the bare FIFO's reader has none either.
    renewed_ = wait_ == Wait::kBlocking;
    if (!renewed_ && calls_++ % 256 == 0) (void)Renew();
    bool came = false;
    while (true) {
      const Received got = client_->Receive(deadline_);
      switch (got.outcome) {
        case ReceiveOutcome::kMessage:
          on_payload(got.message.payload);
          came = true;
          if (client_->mode() != Mode::kNonBlocking) return true;
          continue;
        case ReceiveOutcome::kGap:
          continue;  // shows as lost
        case ReceiveOutcome::kConfirmation:
        case ReceiveOutcome::kReply:
        case ReceiveOutcome::kCaughtUp:
          continue;  // never asked for
        case ReceiveOutcome::kWouldBlock:
          if (came) return true;
          if (deadline_.HasCome() && !Renew()) return Idle();
          if (wait_ == Wait::kEpoll) {
            pollfd polled = {client_->fd(), POLLIN, 0};
            (void)poll(&polled, 1, kIdleMillis);
          }
          Pause(wait_);
          continue;
        case ReceiveOutcome::kTimedOut:
          if (Renew()) continue;
          return Idle();
        case ReceiveOutcome::kDisconnected:
          Die(std::string(client_->status().message()));
      }
    }
  }

 private:
  // Sets the deadline, unless this call has set it. On a busy machine it may be
  // the calls before this one that have taken so long.
  bool Renew() {
    if (renewed_) return false;
    renewed_ = true;
    deadline_ = 2 * absl::Milliseconds(kIdleMillis);
    return true;
  }

  bool Idle() {
    calls_ = 0;
    return false;
  }

  const Wait wait_;
  const std::unique_ptr<Client> client_;
  uint64_t calls_ = 0;
  bool renewed_ = false;  // the deadline, in this call
  Deadline deadline_;
};

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<FifobusPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<FifobusSubscriber>(options);
}

void RunRelay(const RelayOptions&) { Die("start `fifobus serve`"); }

}  // namespace fifobus::bench
