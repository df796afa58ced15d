#include "tests/support/bus_support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "proto/frame_writer.h"
#include "proto/version.h"

namespace fifobus {
TestBus::TestBus(BrokerOptions options) : options_(std::move(options)) {
  StartLog(LogLevel::kInfo);
  options_.dir = dir_.path();
  if (options_.workers == 0) options_.workers = 2;
  // Clients on the thread that stops the broker cannot answer its Goodbye.
  options_.drain_timeout = absl::Milliseconds(100);
  Restart();
}

void TestBus::Stop() { broker_.reset(); }

void TestBus::Restart() {
  Stop();
  auto broker = Broker::Start(options_);
  ASSERT_TRUE(broker.ok()) << broker.status();
  broker_ = *std::move(broker);
}

std::unique_ptr<Client> TestBus::Connect(ClientOptions options) const {
  options.dir = dir();
  options.connect_timeout = kHang;
  auto client = Client::Connect(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return client.ok() ? *std::move(client) : nullptr;
}

std::unique_ptr<Client> TestBus::Subscribe(std::string_view pattern) const {
  auto client = Connect();
  const absl::Status status = client->Subscribe(pattern, kHang);
  EXPECT_TRUE(status.ok()) << status;
  return client;
}

uint64_t TestBus::Count(std::string_view counter) const {
  const pb::StatsReply stats = broker_->CollectStats();
  for (const auto& entry : stats.counters()) {
    if (entry.name() == counter) return entry.value();
  }
  ADD_FAILURE() << "no counter " << counter;
  return 0;
}

RawSession::RawSession(const std::string& bus) {
  static std::atomic<int> made{0};
  const std::string id = fmt::format("{:032x}", (getpid() << 16) + ++made);
  const std::string base = bus + "/sessions/";
  MakeFifo(base + "." + id + ".down");
  MakeFifo(base + "." + id + ".up");
  const auto open_end = [&](const char* name, int access) {
    return UniqueFd(open((base + "." + id + name).c_str(),
                         access | O_NONBLOCK | O_CLOEXEC));
  };
  down_ = open_end(".down", O_RDONLY);
  up_reader_ = open_end(".up", O_RDONLY);
  up_ = open_end(".up", O_WRONLY);
  for (const char* name : {".down", ".up"}) {
    EXPECT_EQ(
        rename((base + "." + id + name).c_str(), (base + id + name).c_str()),
        0);
  }
}

void RawSession::Greet() { Greet(HelloFrame()); }

void RawSession::Greet(std::string_view hello) {
  Write(hello);
  EXPECT_TRUE(Next().has_welcome());
  up_reader_.Reset();
}

void RawSession::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(up_.get(), bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EAGAIN || !WaitFor(up_.get(), POLLOUT)) {
      return;  // the session was closed
    }
  }
}

pb::Frame RawSession::Next() {
  const std::string bytes = NextBytes();
  pb::Frame frame;
  if (!bytes.empty()) {
    EXPECT_TRUE(frame.ParseFromString(bytes.substr(kFramePrefixBytes)));
  }
  return frame;
}

std::string RawSession::NextBytes() {
  const absl::Time deadline = absl::Now() + kHang;
  while (absl::Now() < deadline) {
    const FrameExtent extent = FindFrame(received_, kFrameBytesMaxDefault);
    if (extent.state == FrameExtent::State::kWhole) {
      std::string frame = received_.substr(0, extent.frame_bytes);
      received_.erase(0, extent.frame_bytes);
      return frame;
    }
    char bytes[65536];
    const ssize_t size = read(down_.get(), bytes, sizeof(bytes));
    if (size > 0) {
      received_.append(bytes, static_cast<size_t>(size));
      writer_seen_ = true;
      continue;
    }
    writer_seen_ |= size < 0 || !received_.empty();
    if (size == 0 && (writer_seen_ || !up_reader_.valid())) return {};
    pollfd readable = {down_.get(), POLLIN, 0};
    poll(&readable, 1, 1);
  }
  ADD_FAILURE() << "nothing came";
  return {};
}

bool RawSession::AtEnd() {
  return Next().member_case() == pb::Frame::MEMBER_NOT_SET;
}

std::string HelloFrame() {
  pb::Frame frame;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_client_name("raw");
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

std::string SubscribeFrame(std::string_view pattern) {
  pb::Frame frame;
  frame.mutable_subscribe()->set_request_id(1);
  frame.mutable_subscribe()->set_pattern(std::string(pattern));
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

std::vector<std::string> ReceivePayloads(Client& client, size_t count) {
  std::vector<std::string> payloads;
  const absl::Time deadline = absl::Now() + kHang;
  while (payloads.size() < count) {
    const Received got = client.Receive(deadline);
    if (got.outcome == ReceiveOutcome::kMessage) {
      payloads.emplace_back(got.message.payload);
    } else if (got.outcome == ReceiveOutcome::kGap) {
      payloads.emplace_back("(gap)");
    } else {
      ADD_FAILURE() << "after " << payloads.size() << " of " << count << ": "
                    << client.status();
      break;
    }
  }
  return payloads;
}

}  // namespace fifobus
