// fifobus, through its C++ client. The address is the bus directory; the log has
// the topic "load".
#include <optional>

#include "absl/time/time.h"
#include "bench/durable/storage.h"
#include "clients/cpp/client.h"
#include "proto/frame_writer.h"

namespace fifobus::bench {
namespace {

constexpr std::string_view kTopic = "load";

std::unique_ptr<Client> Connect(const std::string& address) {
  ClientOptions options;
  options.dir = address;
  options.client_name = "durable";
  auto client = Client::Connect(options);
  if (!client.ok()) Die(std::string(client.status().message()));
  return *std::move(client);
}

class FifobusStorer : public Storer {
 public:
  explicit FifobusStorer(const std::string& address)
      : client_(Connect(address)), batch_(*client_) {
    fields_.topic = kTopic;
    fields_.confirm_level = LevelInFrame(Level::kStored);
  }
  void Send(std::string_view payload) override {
    fields_.payload = payload;
    fields_.confirm_id = ++sent_;
    if (client_->Publish(fields_) != PublishOutcome::kSent) Fail();
  }
  void Flush() override {
    if (client_->Flush() != PublishOutcome::kSent) Fail();
  }
  size_t Await() override {
    size_t confirmed = 0;
    client_->set_mode(Mode::kBlocking);
    while (true) {
      const Received got = client_->Receive();
      if (got.outcome == ReceiveOutcome::kConfirmation) {
        if (got.confirmation.level != Level::kStored) Die("not stored");
        ++confirmed;
        client_->set_mode(Mode::kNonBlocking);
      } else if (got.outcome == ReceiveOutcome::kWouldBlock) {
        break;
      } else {
        Fail();
      }
    }
    client_->set_mode(Mode::kBlocking);
    return confirmed;
  }

 private:
  [[noreturn]] void Fail() { Die(std::string(client_->status().message())); }

  const std::unique_ptr<Client> client_;
  Batch batch_;
  MessageFields fields_;
  uint64_t sent_ = 0;
};

class FifobusReplayer : public Replayer {
 public:
  explicit FifobusReplayer(const std::string& address)
      : client_(Connect(address)) {
    SubscribeOptions options;
    options.start = Start::First();
    const absl::Status status = client_->Subscribe(kTopic, options);
    if (!status.ok()) Die(std::string(status.message()));
  }
  void Receive(const OnStored& on_stored) override {
    const Received got = client_->Receive();
    switch (got.outcome) {
      case ReceiveOutcome::kMessage:
        on_stored(got.message.payload);
        return;
      case ReceiveOutcome::kCaughtUp:
        return;
      default:
        Die("not a message: " + std::string(client_->status().message()));
    }
  }

 private:
  const std::unique_ptr<Client> client_;
};

}  // namespace

std::unique_ptr<Storer> MakeStorer(const std::string& address, size_t) {
  return std::make_unique<FifobusStorer>(address);
}

std::unique_ptr<Replayer> MakeReplayer(const std::string& address) {
  return std::make_unique<FifobusReplayer>(address);
}

}  // namespace fifobus::bench
