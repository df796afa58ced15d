#ifndef FIFOBUS_TESTS_SUPPORT_BYTE_BROKER_H_
#define FIFOBUS_TESTS_SUPPORT_BYTE_BROKER_H_

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/conformance/bus.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "proto/bus_paths.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"
#include "tests/support/pipe_support.h"

namespace fifobus {

inline std::string FrameOf(std::string_view payload) {
  MessageFields fields;
  fields.topic = "a";
  fields.payload = payload;
  std::string bytes;
  AppendMessageFrame(fields, bytes);
  return bytes;
}

// The broker's ends of a session, byte by byte. Thread-compatible.
class Reader {
 public:
  Reader(UniqueFd up, UniqueFd down)
      : up_(std::move(up)), down_(std::move(down)) {}

  std::string Bytes(size_t count) { return ReadBytes(up_.get(), count); }
  pb::Frame Frame() {
    const std::string prefix = Bytes(kFramePrefixBytes);
    const size_t bytes = FindFrame(prefix, kFrameBytesMaxDefault).frame_bytes;
    frame_ = prefix + Bytes(bytes - prefix.size());
    pb::Frame frame;
    EXPECT_TRUE(frame.ParseFromString(frame_.substr(kFramePrefixBytes)));
    return frame;
  }
  const std::string& frame() const { return frame_; }
  std::string Payload() { return Frame().message().payload(); }
  void Write(const pb::Frame& frame) {
    std::string bytes;
    AppendFrame(frame, bytes);
    ASSERT_EQ(write(down_.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
  }
  // Nothing more is written for a moment.
  bool IsQuiet() {
    absl::SleepFor(absl::Milliseconds(30));
    char byte = 0;
    return read(up_.get(), &byte, 1) <= 0;
  }
  void Die() {
    up_.Reset();
    down_.Reset();
  }
  int up() const { return up_.get(); }

 private:
  UniqueFd up_;
  UniqueFd down_;
  std::string frame_;
};

// A client and a broker that reads as many bytes of it as a test says.
// Thread-compatible.
class TakeBackTest : public testing::Test {
 protected:
  TakeBackTest() { EXPECT_TRUE(bus_.Live().ok()); }

  void Use(Mode mode, ClientOptions options = {}) {
    options.mode = mode;
    auto client = Client::Start(options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // The next session up to its Hello. `call` is what the client does meanwhile.
  template <typename Call>
  Reader Take(const Call& call) {
    absl::StatusOr<cli::ConformanceBus::Offer> offer;
    EXPECT_TRUE(WaitUntil([&] {
      call();
      offer = bus_.AwaitOffer(absl::Milliseconds(1));
      return offer.ok();
    }));
    const auto open_end = [&](const std::string& path, int access) {
      const std::string name = bus_.dir() + "/" + path;
      UniqueFd fd(open(name.c_str(), access | O_NONBLOCK | O_CLOEXEC));
      EXPECT_TRUE(fd.valid()) << name;
      unlink(name.c_str());
      return fd;
    };
    UniqueFd down = open_end(DownPath(offer->id), O_WRONLY);
    Reader reader(open_end(UpPath(offer->id), O_RDONLY), std::move(down));
    hello_ = reader.Frame().hello();
    return reader;
  }
  Reader Take() {
    return Take([&] { told_loss_ |= TellsLoss(client_->Flush()); });
  }
  Reader Accept() {
    Reader reader = Take();
    reader.Write(Welcome());
    // Reads it, and writes what a session begins with.
    EXPECT_TRUE(WaitUntil([&] {
      told_loss_ |= TellsLoss(client_->Flush());
      return client_->status().ok();
    }));
    return reader;
  }
  static pb::Frame Welcome() {
    pb::Frame frame;
    frame.mutable_welcome()->set_protocol_version(1);
    frame.mutable_welcome()->set_frame_bytes_max(16 << 20);
    return frame;
  }
  static bool TellsLoss(PublishOutcome outcome) {
    return outcome == PublishOutcome::kSentAfterGap;
  }
  void Publish(std::string_view payload) {
    const PublishOutcome outcome = client_->Publish("a", payload);
    EXPECT_TRUE(outcome == PublishOutcome::kSent || TellsLoss(outcome));
    told_loss_ |= TellsLoss(outcome);
  }

  cli::ConformanceBus bus_;
  std::unique_ptr<Client> client_;
  pb::Hello hello_;  // of the last session
  bool told_loss_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_BYTE_BROKER_H_
