// What a client does when its sessions end, are refused, or change hands: with
// a broker that plays each step.

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "clients/cli/conformance/bus.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

using cli::ConformanceSession;

bool IsReadable(const Client& client) {
  pollfd readable = {client.fd(), POLLIN, 0};
  return poll(&readable, 1, 0) == 1;
}

pb::Frame MessageFrame(const std::string& topic, const std::string& payload) {
  pb::Frame frame;
  frame.mutable_message()->set_topic(topic);
  frame.mutable_message()->set_payload(payload);
  return frame;
}

pb::Frame GoodbyeFrame() {
  pb::Frame frame;
  frame.mutable_goodbye()->set_reason("stops");
  return frame;
}

pb::Frame ErrorFrame(pb::Error::Code code, const std::string& text,
                     uint64_t request_id) {
  pb::Frame frame;
  frame.mutable_error()->set_code(code);
  frame.mutable_error()->set_text(text);
  frame.mutable_error()->set_request_id(request_id);
  return frame;
}

// What a child process returns from `run`, which calls _exit.
int ExitOfFork(const std::function<int()>& run) {
  const pid_t child = fork();
  if (child == 0) _exit(run());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class ClientSessionTest : public testing::Test {
 protected:
  ClientSessionTest() {
    EXPECT_TRUE(bus_.Live().ok());
    ClientOptions options;
    options.mode = Mode::kNonBlocking;
    Use(options);
  }

  void Use(const ClientOptions& options) {
    auto client = Client::Start(options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // The broker's half of the next session, welcomed.
  ConformanceSession Accept() {
    auto session = bus_.Greet();
    EXPECT_TRUE(session.ok()) << session.status();
    EXPECT_TRUE(session->Welcome().ok());
    return *std::move(session);
  }

  // The next session, which is made by calls that only publish.
  ConformanceSession AcceptNext() {
    absl::StatusOr<cli::ConformanceBus::Offer> offer;
    EXPECT_TRUE(WaitUntil([&] {
      (void)client_->Publish("b", "wants a session");
      offer = bus_.AwaitOffer(absl::Milliseconds(1));
      return offer.ok();
    }));
    auto session = bus_.Take(*offer);
    EXPECT_TRUE(session.ok()) << session.status();
    EXPECT_TRUE(session->Read(&pb::Frame::has_hello, "Hello").ok());
    EXPECT_TRUE(session->Welcome().ok());
    return *std::move(session);
  }

  // Asks, without waiting for the answer, which the caller makes.
  void AskToSubscribe(const std::string& pattern,
                      const SubscribeOptions& options = {}) {
    // Until the session is open, which is when Welcome was read.
    ASSERT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
    ASSERT_EQ(client_->Subscribe(pattern, options, absl::ZeroDuration()).code(),
              absl::StatusCode::kDeadlineExceeded);
  }

  // The first session, in which the client is subscribed to `pattern`.
  ConformanceSession AcceptSubscribed(const std::string& pattern,
                                      const SubscribeOptions& options = {}) {
    ConformanceSession session = Accept();
    AskToSubscribe(pattern, options);
    EXPECT_TRUE(session.Subscribed().ok());
    return session;
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

  static void Write(ConformanceSession& session,
                    const std::vector<pb::Frame>& frames) {
    for (const pb::Frame& frame : frames) {
      ASSERT_TRUE(session.Write(frame).ok());
    }
  }

  static void End(ConformanceSession& session) {
    session.CloseUp();
    session.CloseDown();
  }

  cli::ConformanceBus bus_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientSessionTest, AGoodbyeThatCameWithWelcomeMakesTheClientReadable) {
  ConformanceSession session = Accept();
  Write(session, {GoodbyeFrame()});
  // Reads both, and looks at the first only.
  EXPECT_EQ(client_->Flush(), PublishOutcome::kSent);
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_TRUE(session.ExpectEnd().ok());
}

TEST_F(ClientSessionTest, AGoodbyeOfTheLastSessionDoesNotEndTheNext) {
  ConformanceSession first = AcceptSubscribed("a");
  Write(first, {MessageFrame("a", "1"), MessageFrame("a", "2"),
                MessageFrame("a", "3"), GoodbyeFrame()});
  End(first);
  // Reads all of it, and takes one.
  EXPECT_EQ(Next().message.payload, "1");
  ConformanceSession second = AcceptNext();
  (void)client_->Ping(absl::ZeroDuration());
  ASSERT_TRUE(second.Subscribed().ok());
  EXPECT_EQ(Next().message.payload, "2");
  EXPECT_EQ(Next().message.payload, "3");
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_EQ(client_->Publish("b", "x"), PublishOutcome::kSent)
      << "the broker had read all when it said Goodbye";
  const auto published = second.Read(&pb::Frame::has_message, "a Message");
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->message().payload(), "x");
}

TEST_F(ClientSessionTest, AnErrorBehindUnreadMessagesEndsTheClient) {
  ConformanceSession first = AcceptSubscribed("a");
  Write(first, {MessageFrame("a", "1"), MessageFrame("a", "2"),
                ErrorFrame(pb::Error::CODE_DENIED, "not yours", 0)});
  End(first);
  EXPECT_EQ(Next().message.payload, "1");
  // Each call sees it, whatever it is, and none makes another session.
  EXPECT_EQ(client_->Ping(kHang).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(client_->Publish("b", "x"), PublishOutcome::kDisconnected);
  EXPECT_NE(client_->status().message().find("not yours"),
            absl::string_view::npos)
      << client_->status();
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(Next().message.payload, "2");
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_FALSE(bus_.AwaitOffer(absl::Milliseconds(50)).ok());
}

TEST_F(ClientSessionTest, BytesThatAreNoFrameEndTheClientWhereTheyStand) {
  ConformanceSession first = AcceptSubscribed("a");
  Write(first, {MessageFrame("a", "1"), MessageFrame("a", "2")});
  ASSERT_TRUE(first.Write(std::string("\0\0\0\2\xff\xff", 6)).ok());
  Write(first, {MessageFrame("a", "never")});
  EXPECT_EQ(Next().message.payload, "1");
  EXPECT_EQ(client_->Ping(kHang).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Next().message.payload, "2");
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
}

TEST_F(ClientSessionTest, ASubscriptionRefusedAnewEndsTheClient) {
  ConformanceSession first = AcceptSubscribed("secret/x");
  End(first);
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kGap);
  ConformanceSession second = AcceptNext();
  (void)client_->Receive();
  const auto asked = second.Read(&pb::Frame::has_subscribe, "Subscribe");
  ASSERT_TRUE(asked.ok()) << asked.status();
  Write(second, {ErrorFrame(pb::Error::CODE_DENIED, "not any more",
                            asked->subscribe().request_id())});
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_EQ(client_->status().code(), absl::StatusCode::kPermissionDenied);
  for (const char* part : {"secret/x", "not any more"}) {
    EXPECT_NE(client_->status().message().find(part), absl::string_view::npos)
        << client_->status();
  }
  EXPECT_EQ(client_->Publish("b", "x"), PublishOutcome::kDisconnected);
}

TEST_F(ClientSessionTest, AGroupWhoseOptionsDoNotFitAnyMoreEndsTheClient) {
  SubscribeOptions options;
  options.group = "workers";
  ConformanceSession first = AcceptSubscribed("jobs", options);
  End(first);
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kGap);
  ConformanceSession second = AcceptNext();
  (void)client_->Receive();
  const auto asked = second.Read(&pb::Frame::has_subscribe, "Subscribe");
  ASSERT_TRUE(asked.ok()) << asked.status();
  Write(second, {ErrorFrame(pb::Error::CODE_BAD_GROUP, "it acknowledges",
                            asked->subscribe().request_id())});
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_NE(client_->status().message().find("in group workers"),
            absl::string_view::npos)
      << client_->status();
}

TEST_F(ClientSessionTest, ARefusalThatNoCallWaitsForEndsTheClient) {
  ConformanceSession session = Accept();
  AskToSubscribe("a");  // and is not answered in time
  const auto asked = session.Read(&pb::Frame::has_subscribe, "Subscribe");
  ASSERT_TRUE(asked.ok()) << asked.status();
  Write(session, {ErrorFrame(pb::Error::CODE_LIMIT, "too many",
                             asked->subscribe().request_id())});
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kDisconnected);
  EXPECT_NE(client_->status().message().find("too many"),
            absl::string_view::npos);
}

TEST_F(ClientSessionTest, ARefusalThatACallWaitsForCostsNoSession) {
  ConformanceSession session = Accept();
  std::thread refusing([&] {
    const auto asked = session.Read(&pb::Frame::has_subscribe, "Subscribe");
    ASSERT_TRUE(asked.ok()) << asked.status();
    Write(session, {ErrorFrame(pb::Error::CODE_DENIED, "not yours",
                               asked->subscribe().request_id())});
  });
  EXPECT_EQ(client_->Subscribe("a", kHang).code(),
            absl::StatusCode::kPermissionDenied);
  refusing.join();
  EXPECT_EQ(client_->Publish("b", "x"), PublishOutcome::kSent);
}

TEST_F(ClientSessionTest, ARefusedInboxFailsTheRequestsThatUseIt) {
  ConformanceSession session = Accept();
  std::thread refusing([&] {
    const auto asked = session.Read(&pb::Frame::has_subscribe, "Subscribe");
    ASSERT_TRUE(asked.ok()) << asked.status();
    Write(session, {ErrorFrame(pb::Error::CODE_DENIED, "no inboxes here",
                               asked->subscribe().request_id())});
  });
  const auto reply = client_->Request("a", "x", kHang);
  refusing.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied)
      << reply.status();
  EXPECT_NE(reply.status().message().find("no inboxes here"),
            absl::string_view::npos);
}

TEST_F(ClientSessionTest, FdShowsWhatAWaitThatWasInVainHasRead) {
  ConformanceSession session = AcceptSubscribed("a");
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_FALSE(IsReadable(*client_));
  Write(session, {MessageFrame("a", "1")});
  EXPECT_EQ(client_->Ping(absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(client_->Receive().message.payload, "1");
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_FALSE(IsReadable(*client_));
}

TEST_F(ClientSessionTest, FdShowsTheEndOfAClientThatDoesNotReconnect) {
  ClientOptions options;
  options.mode = Mode::kNonBlocking;
  options.reconnect = false;
  client_.reset();
  (void)bus_.Greet();  // of the client that has just left
  Use(options);
  ConformanceSession session = AcceptSubscribed("a");
  End(session);
  // Not after a minute, though nothing can come any more.
  EXPECT_EQ(client_->Ping(kHang).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kGap);
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kDisconnected);
}

TEST_F(ClientSessionTest, FlushTellsOfALostSession) {
  ConformanceSession session = Accept();
  (void)client_->Receive();
  ASSERT_EQ(client_->Publish("a", "x"), PublishOutcome::kSent);
  ASSERT_TRUE(session.Read(&pb::Frame::has_message, "a Message").ok());
  End(session);
  EXPECT_EQ(client_->Flush(), PublishOutcome::kSentAfterGap);
}

TEST_F(ClientSessionTest, AFullBufferHidesNoBrokersDeath) {
  ClientOptions options;
  options.mode = Mode::kNonBlocking;
  options.receive_bytes_max = 1000;
  client_.reset();
  (void)bus_.Greet();
  Use(options);
  ConformanceSession first = AcceptSubscribed("a");
  Write(first, {MessageFrame("a", std::string(2000, 'x'))});
  EXPECT_EQ(client_->Ping(absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  Write(first, {MessageFrame("a", "never read")});
  const absl::Status full = client_->Ping(absl::Milliseconds(20));
  EXPECT_NE(full.message().find("take messages by Receive"),
            absl::string_view::npos)
      << full;
  End(first);
  std::thread next([&] {
    ConformanceSession second = Accept();
    EXPECT_TRUE(second.Subscribed().ok());
    const absl::Status end = second.ExpectEnd();  // answers Ping until then
    EXPECT_TRUE(end.ok()) << end;
  });
  EXPECT_TRUE(WaitUntil([&] { return client_->Ping(kHang).ok(); }));
  EXPECT_EQ(Next().message.payload.size(), 2000u);
  EXPECT_EQ(Next().outcome, ReceiveOutcome::kGap);
  client_.reset();
  next.join();
}

TEST_F(ClientSessionTest, TheChildOfAForkMayOnlyForget) {
  ConformanceSession session = AcceptSubscribed("a");
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  Write(session, {MessageFrame("a", "the parent's")});
  ASSERT_EQ(client_->Ping(absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto in_child = [&] {
    if (client_->fd() != -1) return 1;
    if (client_->Publish("a", "x") != PublishOutcome::kDisconnected) return 2;
    if (client_->status().message().find("fork") == absl::string_view::npos) {
      return 3;
    }
    if (client_->Receive().outcome != ReceiveOutcome::kDisconnected) return 4;
    if (client_->Subscribe("a").ok() || client_->Subscribe("b").ok()) return 5;
    if (client_->Unsubscribe("a").ok()) return 6;
    if (client_->Request("a", "x").ok() || client_->Ping().ok()) return 7;
    if (client_->Flush() != PublishOutcome::kDisconnected) return 8;
    { const Batch batch(*client_); }
    client_.reset();
    return 0;
  };
  EXPECT_EQ(ExitOfFork(in_child), 0);
  EXPECT_EQ(ExitOfFork([&] {
              client_.reset();
              return 0;
            }),
            0)
      << "as its only call";
  // The parent's session, its descriptor and what it had read are as before.
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(client_->Receive().message.payload, "the parent's");
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_FALSE(IsReadable(*client_));
  Write(session, {MessageFrame("a", "more")});
  EXPECT_TRUE(IsReadable(*client_));
  EXPECT_EQ(client_->Receive().message.payload, "more");
  ASSERT_EQ(client_->Publish("b", "x"), PublishOutcome::kSent);
  const auto published = session.Read(&pb::Frame::has_message, "a Message");
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->message().payload(), "x");
  EXPECT_TRUE(session.ExpectSilence(absl::Milliseconds(20)).ok())
      << "the child has written nothing";
}

TEST_F(ClientSessionTest, TheChildOfAForkRemovesNoOffer) {
  EXPECT_EQ(ExitOfFork([&] {
              client_.reset();
              return 0;
            }),
            0);
  ConformanceSession session = Accept();
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  EXPECT_TRUE(client_->status().ok()) << client_->status();
}

TEST_F(ClientSessionTest, TheChildOfAForkMayHaveItsOwnClient) {
  ConformanceSession session = Accept();
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  const pid_t child = fork();
  if (child == 0) {
    auto own = Client::Connect({});
    const bool sent =
        own.ok() && (*own)->Publish("a", "own") == PublishOutcome::kSent;
    own->reset();
    _exit(sent ? 0 : 1);
  }
  ConformanceSession childs = Accept();
  const auto published = childs.Read(&pb::Frame::has_message, "a Message");
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->message().payload(), "own");
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(ClientSessionTest, FdIsQuietThoughAForkKeepsCopiesOfALostSession) {
  ConformanceSession first = Accept();
  EXPECT_EQ(client_->Receive().outcome, ReceiveOutcome::kWouldBlock);
  const pid_t child = fork();
  if (child == 0) {
    // The broker's ends are the test's own.
    End(first);
    while (true) pause();
  }
  End(first);
  ConformanceSession second = AcceptNext();
  EXPECT_TRUE(WaitUntil([&] {
    return client_->Receive().outcome == ReceiveOutcome::kWouldBlock &&
           client_->status().ok();
  }));
  EXPECT_FALSE(IsReadable(*client_));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace fifobus
