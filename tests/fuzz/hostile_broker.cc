// Any frames from a broker, in any pieces: the client neither crashes nor hangs
// nor takes more memory than it may, and says the same however they are cut.

#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "clients/cli/conformance/bus.h"
#include "clients/cpp/client.h"
#include "fmt/format.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

enum Flags : uint8_t {
  kWithoutWelcome = 1,
  kAsks = 2,        // a message is to be confirmed, and a request is sent
  kReadsLittle = 4  // ahead
};

// A client and the broker's ends of its pipes.
class Played {
 public:
  Played(cli::ConformanceBus& bus, uint8_t flags) {
    ClientOptions options;
    options.dir = bus.dir();
    options.mode = Mode::kNonBlocking;
    options.reconnect = false;
    if ((flags & kReadsLittle) != 0) options.receive_bytes_max = 100;
    auto client = Client::Start(options);
    Require(client.ok(), "a client starts");
    client_ = *std::move(client);
    (void)client_->Flush();
    auto offer = bus.AwaitOffer();
    Require(offer.ok(), "a client offers its pipes");
    auto session = bus.Take(*offer);
    Require(session.ok(), "the pipes are opened");
    session_ = std::make_unique<cli::ConformanceSession>(*std::move(session));
    if ((flags & kWithoutWelcome) == 0) {
      Require(session_->Welcome().ok(), "Welcome is written");
    }
    Receive();
    if ((flags & kAsks) != 0) Ask();
  }

  // The client may be gone.
  void Write(std::string_view bytes) {
    (void)session_->Write(bytes);
    Receive();
  }

  void End() {
    session_->CloseDown();
    session_->CloseUp();
    Receive();
  }

  // What the client said, a line each.
  const std::string& said() const { return said_; }

 private:
  void Ask() {
    MessageFields message;
    message.topic = "a";
    message.confirm_id = 7;
    (void)client_->Publish(message);
    (void)client_->SendRequest(message);
    (void)client_->Flush();
  }

  void Receive() {
    for (int i = 0; i < 10000; ++i) {
      const Received got = client_->Receive();
      if (got.outcome == ReceiveOutcome::kWouldBlock) return;
      if (got.outcome == ReceiveOutcome::kDisconnected) return;
      said_ += fmt::format("{} ", static_cast<int>(got.outcome));
      if (got.outcome == ReceiveOutcome::kMessage) {
        // Topics are checked by the broker, once for each.
        Require(got.message.fault == FrameFault::kNone,
                "a message that is received has no fault");
        said_ += fmt::format("{} {} {}", got.message.topic, got.message.payload,
                             got.delivery.ack_id);
      } else if (got.outcome == ReceiveOutcome::kGap) {
        said_ += fmt::format("{} {}", static_cast<int>(got.gap.reason),
                             got.gap.messages);
      }
      said_ += '\n';
    }
    Require(false, "receiving ends");
  }

  std::unique_ptr<Client> client_;
  std::unique_ptr<cli::ConformanceSession> session_;
  std::string said_;
};

std::string Play(uint8_t flags, std::string_view bytes, size_t piece) {
  static cli::ConformanceBus bus;
  static const bool is_live = bus.Live().ok();
  (void)signal(SIGPIPE, SIG_IGN);  // the client may close `down` at any time
  Require(is_live, "a bus is made");
  Played played(bus, flags);
  while (!bytes.empty()) {
    played.Write(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  played.End();
  return played.said();
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus::fuzz;  // NOLINT
  Input input(data, size);
  const uint8_t flags = input.Byte();
  const size_t piece = 1 + input.Byte();
  const std::string_view bytes = input.Rest().substr(0, 32768);
  const std::string whole = Play(flags, bytes, 32768);
  if (bytes.size() <= piece) return 0;
  Require(Play(flags, bytes, piece) == whole, "pieces change nothing");
  return 0;
}
