#ifndef FIFOBUS_TESTS_SUPPORT_SCRIPTED_BROKER_H_
#define FIFOBUS_TESTS_SUPPORT_SCRIPTED_BROKER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clients/cli/conformance/bus.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/pipe_support.h"

namespace fifobus {

// A client and the broker's half of its sessions, which the test plays frame by
// frame. Thread-compatible.
class ScriptedBrokerTest : public testing::Test {
 protected:
  using Session = cli::ConformanceSession;

  ScriptedBrokerTest() { EXPECT_TRUE(bus_.Live().ok()); }

  // A client that does not wait.
  void Use(ClientOptions options) {
    options.mode = Mode::kNonBlocking;
    auto client = Client::Start(options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // The next session up to its Welcome, with what logs have of the publisher.
  Session Accept(const std::vector<StoredMark>& marks = {}) {
    absl::StatusOr<cli::ConformanceBus::Offer> offer;
    EXPECT_TRUE(WaitUntil([&] {
      told_loss_ |= client_->Flush() == PublishOutcome::kSentAfterGap;
      offer = bus_.AwaitOffer(absl::Milliseconds(1));
      return offer.ok();
    }));
    auto session = bus_.Take(*offer);
    EXPECT_TRUE(session.ok()) << session.status();
    const auto hello = session->Read(&pb::Frame::has_hello, "Hello");
    EXPECT_TRUE(hello.ok()) << hello.status();
    hello_ = hello->hello();
    pb::Frame frame;
    pb::Welcome& welcome = *frame.mutable_welcome();
    welcome.set_protocol_version(1);
    welcome.set_frame_bytes_max(1 << 20);
    for (const StoredMark& mark : marks) {
      pb::Welcome::PublisherMark& told = *welcome.add_publisher_marks();
      told.set_log(mark.log);
      told.set_last_sequence(mark.last_sequence);
      told.set_last_offset(mark.last_offset);
    }
    EXPECT_TRUE(session->Write(frame).ok());
    // Reads it, and writes what a session begins with.
    told_loss_ |= client_->Flush() == PublishOutcome::kSentAfterGap;
    return *std::move(session);
  }

  static pb::Message ReadMessage(Session& session) {
    const auto frame = session.Read(&pb::Frame::has_message, "a Message");
    EXPECT_TRUE(frame.ok()) << frame.status();
    return frame.ok() ? frame->message() : pb::Message();
  }

  static void Write(Session& session, const pb::Frame& frame) {
    const absl::Status status = session.Write(frame);
    ASSERT_TRUE(status.ok()) << status;
  }
  static void WriteError(Session& session, pb::Error::Code code,
                         const std::string& text, uint64_t request_id) {
    pb::Frame frame;
    frame.mutable_error()->set_code(code);
    frame.mutable_error()->set_text(text);
    frame.mutable_error()->set_request_id(request_id);
    Write(session, frame);
  }

  // The broker is gone.
  static void End(Session& session) {
    session.CloseUp();
    session.CloseDown();
  }

  // Calls Receive until it says something; kWouldBlock: it never did.
  Received Next() {
    Received got;
    (void)WaitUntil([&] {
      got = client_->Receive();
      return got.outcome != ReceiveOutcome::kWouldBlock;
    });
    return got;
  }

  cli::ConformanceBus bus_;
  std::unique_ptr<Client> client_;
  pb::Hello hello_;         // of the last session
  bool told_loss_ = false;  // before a session that was accepted
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_SCRIPTED_BROKER_H_
