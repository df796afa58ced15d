#ifndef FIFOBUS_CLIENTS_CLI_CONFORMANCE_TRIAL_H_
#define FIFOBUS_CLIENTS_CLI_CONFORMANCE_TRIAL_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clients/cli/conformance/bus.h"
#include "clients/cli/conformance/client.h"

namespace fifobus::cli {

// The topic of all that is played, and a message on it as it lies in a pipe.
inline constexpr std::string_view kPlayedTopic = "conformance/topic";
std::string MessageFrame(std::string_view payload);

// One requirement put to the test: a bus, the client, and its current session.
// After the first step that fails all others do nothing, so that a trial reads
// like the story that it tells. Thread-compatible.
class Trial {
 public:
  Trial(std::vector<std::string> command, bool verbose)
      : command_(std::move(command)), verbose_(verbose) {}

  const absl::Status& status() const { return status_; }
  void Require(bool met, std::string_view otherwise);
  void Take(const absl::Status& status);

  ConformanceBus& bus() { return bus_; }
  void Live() {
    Step([this] { return bus_.Live(); });
  }
  // The broker is gone, as if it had been killed.
  void Die();

  // Starts CLIENT COMMAND ARGUMENT.
  void Run(std::string_view command, std::string_view argument);
  void Type(std::string_view text);
  void CloseInput();
  void ExpectOutput(std::string_view expected);
  void ExpectRunningFor(absl::Duration duration);
  // How it ended; 0 if the trial has failed already.
  int AwaitExit();
  void ExpectFailureExit();
  void Terminate();

  ConformanceBus::Offer AwaitOffer();
  void TakeOffer(const ConformanceBus::Offer& offer);
  // The next session up to its Hello.
  pb::Frame Greet();
  void Welcome(uint32_t frame_bytes_max = 0);
  // Both, for a client that may end without having come so far.
  void WelcomeIfItComes();
  // All that a client does before it prints or publishes.
  void RunSubscriber();
  void RunPublisher();

  pb::Frame Read();
  pb::Message ReadMessage();
  pb::Subscribe Subscribed();
  void Write(std::string_view bytes);
  void Write(const pb::Frame& frame);
  void ExpectSilence(absl::Duration duration);
  void ExpectEnd();
  void CloseUp();
  void CloseDown();
  ConformanceSession& session() { return *session_; }

 private:
  template <typename Action>
  void Step(const Action& action) {
    if (status_.ok()) Take(action());
  }

  const std::vector<std::string> command_;
  const bool verbose_;
  absl::Status status_;
  ConformanceBus bus_;
  std::optional<ConformanceClient> client_;
  std::optional<ConformanceSession> session_;
};

// What PROTOCOL.md asks for, by the name that stands there in brackets.
struct Requirement {
  std::string_view name;
  std::string_view text;
  void (*trial)(Trial&);
};

// Of clients with sessions, as far as these concern logs too, and of those that
// use taps.
absl::Span<const Requirement> SessionRequirements();
absl::Span<const Requirement> LogRequirements();
absl::Span<const Requirement> TapRequirements();

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_CONFORMANCE_TRIAL_H_
