#include "clients/cli/conformance/trial.h"

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "proto/frame_writer.h"

namespace fifobus::cli {
namespace {

// How long to wait for a session before another look at the client.
constexpr absl::Duration kLook = absl::Milliseconds(20);

}  // namespace

std::string MessageFrame(std::string_view payload) {
  MessageFields fields;
  fields.topic = kPlayedTopic;
  fields.payload = payload;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

void Trial::Require(bool met, std::string_view otherwise) {
  if (met) return;
  Take(absl::FailedPreconditionError(
      absl::string_view(otherwise.data(), otherwise.size())));
}

void Trial::Take(const absl::Status& status) { status_.Update(status); }

void Trial::Die() {
  bus_.Die();
  session_.reset();
}

void Trial::Run(std::string_view command, std::string_view argument) {
  Step([&]() -> absl::Status {
    std::vector<std::string> words = command_;
    words.emplace_back(command);
    words.emplace_back(argument);
    auto client = ConformanceClient::Start(words, verbose_);
    if (!client.ok()) return client.status();
    client_.emplace(*std::move(client));
    return absl::OkStatus();
  });
}

void Trial::Type(std::string_view text) {
  Step([&] { return client_->Type(text); });
}

void Trial::CloseInput() {
  if (status_.ok()) client_->CloseInput();
}

void Trial::ExpectOutput(std::string_view expected) {
  Step([&] { return client_->Expect(expected); });
}

void Trial::ExpectRunningFor(absl::Duration duration) {
  if (!status_.ok()) return;
  absl::SleepFor(duration);
  Require(client_->IsRunning(), "it has ended");
}

int Trial::AwaitExit() {
  int exit = 0;
  Step([&] {
    const auto ended = client_->AwaitExit();
    if (ended.ok()) exit = *ended;
    return ended.status();
  });
  return exit;
}

void Trial::ExpectFailureExit() {
  const int exit = AwaitExit();
  if (!status_.ok()) return;
  Require(exit >= 0, "a signal killed it");
  Require(exit > 0, "it ended with exit code 0, as if all was well");
}

void Trial::Terminate() {
  if (status_.ok()) client_->Terminate();
}

ConformanceBus::Offer Trial::AwaitOffer() {
  ConformanceBus::Offer offer;
  Step([&] {
    const absl::Duration deadline = MonotonicNow() + kPatience;
    while (true) {
      // A client that has ended offers nothing any more.
      const bool ended = !client_->IsRunning();
      auto made = bus_.AwaitOffer(kLook);
      if (made.ok()) {
        offer = *std::move(made);
        return absl::OkStatus();
      }
      if (ended) {
        return absl::FailedPreconditionError("it ended and offered no session");
      }
      if (MonotonicNow() >= deadline) return made.status();
    }
  });
  return offer;
}

void Trial::TakeOffer(const ConformanceBus::Offer& offer) {
  Step([&] {
    auto session = bus_.Take(offer);
    if (session.ok()) session_.emplace(*std::move(session));
    return session.status();
  });
}

pb::Frame Trial::Greet() {
  TakeOffer(AwaitOffer());
  const pb::Frame hello = Read();
  Require(!status_.ok() || hello.has_hello(), "its first frame is not Hello");
  return hello;
}

void Trial::Welcome(uint32_t frame_bytes_max) {
  Step([&] { return session_->Welcome(frame_bytes_max); });
}

void Trial::WelcomeIfItComes() {
  if (!status_.ok()) return;
  const auto offer = bus_.AwaitOffer(absl::Seconds(2));
  if (!offer.ok()) return;
  TakeOffer(*offer);
  (void)Read();
  Welcome();
}

void Trial::RunSubscriber() {
  Live();
  Run("sub", "conformance/**");
  (void)Greet();
  Welcome();
  (void)Subscribed();
}

void Trial::RunPublisher() {
  Live();
  Run("pub", "conformance/topic");
  (void)Greet();
  Welcome();
}

pb::Frame Trial::Read() {
  pb::Frame frame;
  Step([&] {
    auto read = session_->Read();
    if (read.ok()) frame = *std::move(read);
    return read.status();
  });
  return frame;
}

pb::Message Trial::ReadMessage() {
  pb::Message message;
  Step([&] {
    auto read = session_->Read(&pb::Frame::has_message, "Message");
    if (read.ok()) message = std::move(*read->mutable_message());
    return read.status();
  });
  return message;
}

pb::Subscribe Trial::Subscribed() {
  pb::Subscribe subscribe;
  Step([&] {
    auto read = session_->Subscribed();
    if (read.ok()) subscribe = *std::move(read);
    return read.status();
  });
  return subscribe;
}

void Trial::Write(std::string_view bytes) {
  Step([&] { return session_->Write(bytes); });
}

void Trial::Write(const pb::Frame& frame) {
  Step([&] { return session_->Write(frame); });
}

void Trial::ExpectSilence(absl::Duration duration) {
  Step([&] { return session_->ExpectSilence(duration); });
}

void Trial::ExpectEnd() {
  Step([&] { return session_->ExpectEnd(); });
}

void Trial::CloseUp() {
  if (status_.ok()) session_->CloseUp();
}

void Trial::CloseDown() {
  if (status_.ok()) session_->CloseDown();
}

}  // namespace fifobus::cli
