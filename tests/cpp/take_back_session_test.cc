// What taking back means for confirmations, requests, named publishers, stopping
// brokers and forks, and what is not taken back.

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/conformance/client.h"
#include "clients/cpp/client.h"
#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/send_buffer.h"
#include "gtest/gtest.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"
#include "tests/support/byte_broker.h"
#include "tests/support/pipe_support.h"

namespace fifobus {
namespace {

TEST_F(TakeBackTest, ConfirmationsComeInTheNextSession) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  for (uint64_t id = 1; id <= 3; ++id) {
    MessageFields fields;
    fields.topic = "a";
    fields.confirm_id = id;
    fields.retain = true;
    EXPECT_EQ(client_->Publish(fields), PublishOutcome::kSent);
  }
  EXPECT_EQ(first.Frame().message().confirm_id(), 1u);
  first.Die();
  Reader second = Accept();
  for (uint64_t id = 2; id <= 3; ++id) {
    const pb::Frame frame = second.Frame();
    EXPECT_EQ(frame.message().confirm_id(), id);
    EXPECT_TRUE(frame.message().retain());
    pb::Frame confirm;
    confirm.mutable_confirm()->set_confirm_id(id);
    confirm.mutable_confirm()->set_level(pb::Confirm::LEVEL_ACCEPTED);
    second.Write(confirm);
  }
  for (uint64_t id = 1; id <= 3; ++id) {
    Received got;
    ASSERT_TRUE(WaitUntil([&] {
      got = client_->Receive();
      return got.outcome != ReceiveOutcome::kWouldBlock;
    }));
    ASSERT_EQ(got.outcome, ReceiveOutcome::kConfirmation);
    EXPECT_EQ(got.confirmation.confirm_id, id);
    EXPECT_EQ(got.confirmation.level,
              id == 1 ? Level::kNone : Level::kAccepted);
  }
}

TEST_F(TakeBackTest, ACallThatWaitsForItsConfirmationWaitsOn) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  MessageFields fields;
  fields.topic = "a";
  absl::StatusOr<Confirmation> confirmed = absl::UnknownError("not yet");
  std::thread publishing(
      [&] { confirmed = client_->PublishConfirmed(fields, kHang); });
  ASSERT_TRUE(WaitFor(first.up(), POLLIN));
  first.Die();
  Reader second = Take([] {});
  second.Write(Welcome());
  pb::Frame confirm;
  confirm.mutable_confirm()->set_confirm_id(
      second.Frame().message().confirm_id());
  confirm.mutable_confirm()->set_level(pb::Confirm::LEVEL_ACCEPTED);
  confirm.mutable_confirm()->set_sessions(5);
  second.Write(confirm);
  publishing.join();
  ASSERT_TRUE(confirmed.ok()) << confirmed.status();
  EXPECT_EQ(confirmed->sessions, 5u);
}

TEST_F(TakeBackTest, ARequestThatNobodyHasReadIsAnsweredInTheNextSession) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  absl::StatusOr<OwnedMessage> reply = absl::UnknownError("not yet");
  std::thread asking(
      [&] { reply = client_->Request("service", "question", kHang); });
  const std::string inbox = first.Frame().subscribe().pattern();
  ASSERT_TRUE(WaitFor(first.up(), POLLIN));
  first.Die();
  Reader second = Take([] {});
  second.Write(Welcome());
  EXPECT_EQ(second.Frame().subscribe().pattern(), inbox);
  const pb::Message request = second.Frame().message();
  EXPECT_EQ(request.payload(), "question");
  pb::Frame answer;
  answer.mutable_message()->set_topic(request.reply_topic());
  answer.mutable_message()->set_payload("answer");
  second.Write(answer);
  asking.join();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->payload, "answer");
}

TEST_F(TakeBackTest, ARequestThatWasReadIsUnknown) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  absl::StatusOr<OwnedMessage> reply = absl::UnknownError("not yet");
  std::thread asking(
      [&] { reply = client_->Request("service", "question", kHang); });
  (void)first.Frame();
  EXPECT_EQ(first.Payload(), "question");
  first.Die();
  asking.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TakeBackTest, ANamedPublisherSendsEachNumberOnce) {
  ClientOptions options;
  options.publisher = "till";
  options.resend_bytes_max = 1 << 20;
  Use(Mode::kNonBlocking, options);
  Reader first = Accept();
  // Two are kept until they are stored, and two are not.
  for (uint64_t id = 1; id <= 4; ++id) {
    MessageFields fields;
    fields.topic = "a";
    const std::string payload = std::to_string(id);
    fields.payload = payload;
    if (id % 2 == 0) {
      fields.confirm_id = id;
      fields.confirm_level = LevelInFrame(Level::kStored);
    }
    EXPECT_EQ(client_->Publish(fields), PublishOutcome::kSent);
  }
  EXPECT_EQ(first.Payload(), "1");
  EXPECT_EQ(first.Payload(), "2");
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 3u) << "2 is kept, 3 and 4 are unread";
  for (uint64_t id = 2; id <= 4; ++id) {
    const pb::Message message = second.Frame().message();
    EXPECT_EQ(message.sequence(), id);
    EXPECT_EQ(message.payload(), std::to_string(id));
  }
  EXPECT_TRUE(second.IsQuiet());
}

TEST_F(TakeBackTest, ABrokerThatSaidGoodbyeReadsOnByItself) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("1");
  pb::Frame goodbye;
  goodbye.mutable_goodbye()->set_reason("stops");
  first.Write(goodbye);
  // Sees it.
  ASSERT_TRUE(WaitUntil([&] {
    (void)client_->Receive();
    return !client_->status().ok();
  }));
  EXPECT_EQ(first.Payload(), "1");
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 0u);
  EXPECT_FALSE(told_loss_);
  EXPECT_TRUE(second.IsQuiet());
}

TEST_F(TakeBackTest, WhatAGoodbyeFindsUnwrittenGoesOnInTheNextSession) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  std::vector<std::string> sent;
  while (true) {
    sent.push_back(std::to_string(sent.size()) + std::string(5000, 'x'));
    if (client_->Publish("a", sent.back()) == PublishOutcome::kWouldBlock) {
      break;
    }
  }
  sent.pop_back();
  pb::Frame goodbye;
  goodbye.mutable_goodbye()->set_reason("stops");
  first.Write(goodbye);
  ASSERT_TRUE(WaitUntil([&] {
    (void)client_->Receive();
    return !client_->status().ok();
  }));
  // All but what was begun, and that not whole.
  for (size_t i = 0; i + 1 < sent.size(); ++i) {
    EXPECT_EQ(first.Payload(), sent[i]);
  }
  const std::string last = FrameOf(sent.back());
  EXPECT_LT(first.Bytes(last.size()).size(), last.size());
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(hello_.resent_messages(), 1u);
  EXPECT_FALSE(told_loss_);
  EXPECT_EQ(second.Payload(), sent.back());
}

TEST_F(TakeBackTest, AChildLeavesEverythingToItsParent) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("1");
  const pid_t child = fork();
  if (child == 0) {
    const bool failed =
        client_->Publish("a", "child's") == PublishOutcome::kDisconnected;
    client_.reset();
    _exit(failed ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  first.Die();
  Reader second = Accept();
  EXPECT_EQ(second.Payload(), "1");
  EXPECT_TRUE(second.IsQuiet());
}

TEST_F(TakeBackTest, AClientThatLeavesFirstPublishesWhatItHasTakenBack) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("1");
  first.Die();
  EXPECT_EQ(client_->Flush(), PublishOutcome::kWouldBlock);
  std::thread leaving([&] { client_.reset(); });
  Reader second = Take([] {});
  second.Write(Welcome());
  EXPECT_EQ(second.Payload(), "1");
  EXPECT_TRUE(second.Frame().has_goodbye());
  leaving.join();
}

TEST_F(TakeBackTest, AFatalErrorEndsTheClientWithWhatItHasTakenBack) {
  Use(Mode::kNonBlocking);
  Reader first = Accept();
  Publish("1");
  pb::Frame error;
  error.mutable_error()->set_code(pb::Error::CODE_DENIED);
  error.mutable_error()->set_text("not yours");
  first.Write(error);
  first.Die();
  EXPECT_TRUE(WaitUntil([&] {
    return client_->Publish("a", "2") == PublishOutcome::kDisconnected;
  }));
  EXPECT_FALSE(bus_.AwaitOffer(absl::Milliseconds(50)).ok());
}

// What is in the pipe is compared with what was written.
TEST_F(TakeBackTest, ForeignBytesInThePipeAreNotPublished) {
  for (const bool in_front : {false, true}) {
    Use(Mode::kNonBlocking);
    Reader first = Accept();
    const std::string up = "/proc/self/fd/" + std::to_string(first.up());
    const UniqueFd foreign(open(up.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(foreign.valid());
    const std::string evil = FrameOf("evil");
    const auto write_evil = [&] {
      ASSERT_EQ(write(foreign.get(), evil.data(), evil.size()),
                static_cast<ssize_t>(evil.size()));
    };
    if (in_front) write_evil();
    Publish("1");
    if (!in_front) write_evil();
    first.Die();
    Reader second = Accept();
    EXPECT_EQ(hello_.resent_messages(), 0u);
    EXPECT_TRUE(std::exchange(told_loss_, false));
    EXPECT_TRUE(second.IsQuiet());
    client_.reset();
  }
}

TEST_F(TakeBackTest, TheExampleInCDoesAllThisToo) {
  auto example = cli::ConformanceClient::Start(
      {"clients/examples/client", "pub", "a"}, /*verbose=*/true);
  ASSERT_TRUE(example.ok()) << example.status();
  Reader reader = Take([] {});
  reader.Write(Welcome());
  ASSERT_TRUE(example->Type("1\n2\n3\n").ok());
  const auto await_bytes = [&](size_t bytes) {
    EXPECT_TRUE(WaitUntil([&] {
      int unread = 0;
      return ioctl(reader.up(), FIONREAD, &unread) == 0 &&
             static_cast<size_t>(unread) == bytes;
    }));
  };
  await_bytes(3 * FrameOf("1").size());
  reader.Die();
  reader = Take([] {});
  EXPECT_EQ(hello_.resent_messages(), 3u);
  reader.Write(Welcome());
  await_bytes(3 * FrameOf("1").size());
  EXPECT_EQ(reader.Payload(), "1");
  (void)reader.Bytes(2);
  reader.Die();
  reader = Take([] {});
  EXPECT_EQ(hello_.resent_messages(), 2u);
  reader.Write(Welcome());
  ASSERT_TRUE(example->Type("4\n").ok());
  for (int i = 2; i <= 4; ++i) EXPECT_EQ(reader.Payload(), std::to_string(i));
  example->CloseInput();
  pb::Frame pong;
  pong.mutable_pong()->set_token(reader.Frame().ping().token());
  reader.Write(pong);
  const auto code = example->AwaitExit();
  ASSERT_TRUE(code.ok()) << code.status();
  EXPECT_EQ(*code, 1) << "1 may be lost";
}

// The connection by itself, with another place for a process's open files.
TEST_F(TakeBackTest, WithoutProcNothingOfThePipeIsPublishedAgain) {
  const TempDir elsewhere;
  for (const std::string& open_files :
       {std::string("/nowhere"), elsewhere.path()}) {
    SCOPED_TRACE(open_files);
    Connection::Options options;
    options.open_files = open_files;
    options.receive_bytes_max = 1 << 20;
    auto connection = Connection::Make(options);
    ASSERT_TRUE(connection.ok());
    Connection& client = **connection;
    std::vector<Remains> remains;
    client.OnRemains([&](Remains left) { remains.push_back(std::move(left)); });
    Reader first = Take([&] { client.Advance(); });
    first.Write(Welcome());
    ASSERT_TRUE(WaitUntil([&] {
      client.Advance();
      return client.state() == Connection::State::kOpen;
    }));
    client.out() += FrameOf("1");
    std::string_view nothing;
    ASSERT_EQ(client.Flush(nothing), Connection::FlushOutcome::kAll);
    // FIFOs that are not this client's.
    for (int fd = 0; fd < 64 && open_files == elsewhere.path(); ++fd) {
      MakeFifo(elsewhere.path() + "/" + std::to_string(fd));
    }
    first.Die();
    client.OnDownEnded();
    ASSERT_EQ(remains.size(), 1u);
    EXPECT_EQ(remains[0].frames, "");
    EXPECT_TRUE(remains[0].unknown);
    EXPECT_EQ(client.publish_losses(), 1u);
  }
}

}  // namespace
}  // namespace fifobus
