#include "clients/cli/bridge/nats_link.h"

#include <poll.h>
#include <sys/stat.h>

#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/bridge/fake_nats.h"
#include "tests/support/pipe_support.h"

namespace fifobus::bridge {
namespace {

using Kind = LinkEvent::Kind;

class NatsLinkTest : public testing::Test {
 protected:
  void Start(const std::vector<std::string>& servers,
             std::vector<std::string> subjects = {"inbox.>"}) {
    NatsOptions options;
    options.servers = servers;
    options.client_name = "test";
    auto link = NatsLink::Start(options, std::move(subjects));
    if (absl::IsNotFound(link.status())) {
      GTEST_SKIP() << link.status().message();
    }
    ASSERT_TRUE(link.ok()) << link.status();
    link_ = *std::move(link);
  }
  void StartOnServer(std::vector<std::string> subjects = {"inbox.>"}) {
    const size_t count = subjects.size();
    Start({server_.url()}, std::move(subjects));
    if (IsSkipped() || HasFatalFailure()) return;
    server_.Accept(count);
    ASSERT_EQ(NextEvent().kind, Kind::kConnected);
  }

  // A link whose connection is gone has nothing to wait for at its end.
  void TearDown() override { server_.Close(); }

  // The next event, which a test waits for at most a minute.
  LinkEvent NextEvent() {
    const absl::Time deadline = absl::Now() + kHang;
    while (events_.empty() && absl::Now() < deadline) {
      pollfd polled = {link_->fd(), POLLIN, 0};
      poll(&polled, 1, /*timeout=*/1000);
      for (LinkEvent& event : link_->Take()) {
        events_.push_back(std::move(event));
      }
    }
    if (events_.empty()) {
      ADD_FAILURE() << "no event";
      return {};
    }
    LinkEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  // The next of this kind, past others.
  LinkEvent NextOf(Kind kind) {
    while (!HasFailure()) {
      LinkEvent event = NextEvent();
      if (event.kind == kind) return event;
    }
    return {};
  }

  static NatsMessage Message(std::string subject, std::string payload) {
    NatsMessage message;
    message.subject = std::move(subject);
    message.payload = std::move(payload);
    return message;
  }

  FakeNats server_;
  std::unique_ptr<NatsLink> link_;
  std::deque<LinkEvent> events_;
};

TEST_F(NatsLinkTest, ConnectionIsToldWithItsServerAndBound) {
  Start({server_.url()});
  if (IsSkipped()) return;
  EXPECT_EQ(link_->Send(Message("a", "early")), SendOutcome::kNotConnected);
  server_.Accept(1, /*payload_bytes_max=*/12345);
  const LinkEvent event = NextEvent();
  EXPECT_EQ(event.kind, Kind::kConnected);
  EXPECT_EQ(event.text, server_.url());
  EXPECT_EQ(event.payload_bytes_max, 12345U);
}

TEST_F(NatsLinkTest, MessagesAreSentInOrderWithReplyAndHeaders) {
  StartOnServer();
  if (IsSkipped()) return;
  NatsMessage first = Message("a.b", "one");
  first.reply = "inbox.1";
  first.headers = {{"Name", "value"}, {"Name", "other"}};
  EXPECT_EQ(link_->Send(std::move(first)), SendOutcome::kQueued);
  EXPECT_EQ(link_->Send(Message("c", "")), SendOutcome::kQueued);
  const FakeNats::Published one = server_.Next();
  EXPECT_EQ(one.subject, "a.b");
  EXPECT_EQ(one.reply, "inbox.1");
  EXPECT_EQ(one.payload, "one");
  EXPECT_NE(one.headers.find("Name: value\r\n"), std::string::npos);
  EXPECT_NE(one.headers.find("Name: other\r\n"), std::string::npos);
  const FakeNats::Published two = server_.Next();
  EXPECT_EQ(two.subject, "c");
  EXPECT_EQ(two.headers + two.payload + two.reply, "");
}

TEST_F(NatsLinkTest, MessagesArriveWithAllThatTheyHave) {
  StartOnServer({"inbox.>", "live.*"});
  if (IsSkipped()) return;
  server_.Deliver(2, "live.a", "reply.to", "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n",
                  std::string("pay\0load", 8));
  server_.Deliver(1, "inbox.x", "", "", "");
  server_.Deliver(1, "inbox.y", "", "NATS/1.0 503\r\n\r\n", "");
  LinkEvent event = NextEvent();
  EXPECT_EQ(event.kind, Kind::kMessage);
  EXPECT_EQ(event.subject, 1U);
  EXPECT_EQ(event.message.subject, "live.a");
  EXPECT_EQ(event.message.reply, "reply.to");
  EXPECT_EQ(event.message.payload, std::string("pay\0load", 8));
  EXPECT_EQ(event.message.header("A"), "1");
  EXPECT_EQ(event.message.header("B"), "2");
  event = NextEvent();
  EXPECT_EQ(event.subject, 0U);
  EXPECT_EQ(event.message.subject, "inbox.x");
  EXPECT_EQ(event.message.reply, "");
  event = NextEvent();
  EXPECT_EQ(event.message.header("Status"), "503");
}

TEST_F(NatsLinkTest, LostConnectionIsToldAndTheNextOneIsMade) {
  StartOnServer();
  if (IsSkipped()) return;
  for (int i = 0; i < 3; ++i) {
    server_.Close();
    EXPECT_EQ(NextOf(Kind::kDisconnected).kind, Kind::kDisconnected);
    EXPECT_EQ(link_->Send(Message("a", "lost")), SendOutcome::kNotConnected);
    server_.Accept(1);
    EXPECT_EQ(NextOf(Kind::kConnected).kind, Kind::kConnected);
    EXPECT_EQ(link_->Send(Message("a", "new")), SendOutcome::kQueued);
    EXPECT_EQ(server_.Next().payload, "new");
    server_.Deliver(1, "inbox.x", "", "", "after");
    EXPECT_EQ(NextOf(Kind::kMessage).message.payload, "after");
  }
}

TEST_F(NatsLinkTest, ServerThatIsNotThereIsToldAndTheEndIsSoon) {
  std::string closed;
  {
    const FakeNats none;
    closed = none.url();
  }
  Start({closed});
  if (IsSkipped()) return;
  const LinkEvent event = NextEvent();
  EXPECT_EQ(event.kind, Kind::kFailed);
  EXPECT_NE(event.text, "");
  const absl::Time begin = absl::Now();
  link_.reset();
  // An attempt takes 2 s at most, and no wait between attempts is waited for.
  EXPECT_LT(absl::Now() - begin, absl::Seconds(30));
}

TEST_F(NatsLinkTest, NextServerTakesTheLinkIfOneIsNotThere) {
  std::string closed;
  {
    const FakeNats none;
    closed = none.url();
  }
  Start({closed, server_.url()});
  if (IsSkipped()) return;
  server_.Accept(1);
  EXPECT_EQ(NextOf(Kind::kConnected).text, server_.url());
}

TEST_F(NatsLinkTest, RefusalOfTheServerIsTold) {
  StartOnServer();
  if (IsSkipped()) return;
  server_.Write("-ERR 'Permissions Violation for Publish to \"a\"'\r\n");
  const LinkEvent event = NextOf(Kind::kError);
  EXPECT_NE(event.text.find("Permissions Violation"), std::string::npos)
      << event.text;
}

TEST_F(NatsLinkTest, ServerThatReadsNothingFillsTheQueueAndHoldsUpNobody) {
  StartOnServer();
  if (IsSkipped()) return;
  // The queue, and what the sockets of both ends take, which is less.
  SendOutcome outcome = SendOutcome::kQueued;
  int sent = 0;
  while (outcome == SendOutcome::kQueued && sent < 4096) {
    outcome = link_->Send(Message("a", std::string(65536, 'x')));
    ++sent;
  }
  // Slow machines see the server given up before.
  EXPECT_NE(outcome, SendOutcome::kQueued);
}

TEST_F(NatsLinkTest, MessagesOfBothDirectionsCrossAtOnce) {
  constexpr int kMessages = 5000;
  StartOnServer();
  if (IsSkipped()) return;
  std::thread server([this] {
    for (int i = 0; i < kMessages; ++i) {
      server_.Deliver(1, "inbox.x", "", "NATS/1.0\r\nN: 1\r\n\r\n",
                      std::to_string(i));
      const FakeNats::Published next = server_.Next();
      ASSERT_EQ(next.payload, std::to_string(i));
    }
  });
  int received = 0;
  for (int i = 0; i < kMessages; ++i) {
    EXPECT_EQ(link_->Send(Message("a", std::to_string(i))),
              SendOutcome::kQueued);
  }
  while (received < kMessages && !HasFailure()) {
    EXPECT_EQ(NextOf(Kind::kMessage).message.payload, std::to_string(received));
    ++received;
  }
  server.join();
}

TEST_F(NatsLinkTest, WhatIsQueuedAtTheEndIsStillSent) {
  StartOnServer();
  if (IsSkipped()) return;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(link_->Send(Message("a", std::to_string(i))),
              SendOutcome::kQueued);
  }
  std::thread server([this] {
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(server_.Next().payload, std::to_string(i));
    }
    // Until the client closes; it waits for the answer to a PING before.
    EXPECT_EQ(server_.Next().subject, "");
  });
  link_.reset();
  server.join();
}

TEST_F(NatsLinkTest, SecretThatIsNoneIsAnErrorAtTheStart) {
  const TempDir dir;
  NatsOptions options;
  options.servers = {server_.url()};
  options.user = "alice";
  options.password_file = dir.path() + "/password";
  std::ofstream(options.password_file) << "";
  const auto link = NatsLink::Start(options, {});
  if (absl::IsNotFound(link.status())) GTEST_SKIP() << link.status().message();
  EXPECT_TRUE(absl::IsInvalidArgument(link.status())) << link.status();
  EXPECT_NE(link.status().message().find("holds no line of text"),
            std::string::npos);
}

}  // namespace
}  // namespace fifobus::bridge
