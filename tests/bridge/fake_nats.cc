#include "tests/bridge/fake_nats.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <sstream>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace fifobus::bridge {
namespace {

constexpr int kHangMillis = 60000;

// Whether there is something to read, or to accept.
bool AwaitReadable(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  return poll(&polled, 1, kHangMillis) == 1;
}

std::vector<std::string> Words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

}  // namespace

FakeNats::FakeNats()
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  EXPECT_EQ(listen(listener_.get(), 8), 0);
}

std::string FakeNats::url() const {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                        &size),
            0);
  return fmt::format("nats://127.0.0.1:{}", ntohs(address.sin_port));
}

void FakeNats::Accept(size_t subjects, size_t payload_bytes_max) {
  received_.clear();
  sids_.clear();
  ASSERT_TRUE(AwaitReadable(listener_.get())) << "nobody connects";
  connection_ = UniqueFd(accept(listener_.get(), nullptr, nullptr));
  ASSERT_GE(connection_.get(), 0);
  Write(fmt::format(
      "INFO {{\"server_id\":\"fake\",\"version\":\"2.9.10\",\"proto\":1,"
      "\"headers\":true,\"max_payload\":{}}}\r\n",
      payload_bytes_max));
  bool had_ping = false;
  while (!had_ping || sids_.size() < subjects) {
    const std::string line = Line();
    ASSERT_FALSE(line.empty()) << "the client has closed";
    const auto words = Words(line);
    if (words[0] == "PING") {
      Write("PONG\r\n");
      had_ping = true;
    } else if (words[0] == "SUB") {
      sids_.push_back(words.back());
    }
  }
}

FakeNats::Published FakeNats::Next() {
  while (true) {
    const std::string line = Line();
    if (line.empty()) return {};
    const auto words = Words(line);
    if (words[0] == "PING") Write("PONG\r\n");
    const bool with_headers = words[0] == "HPUB";
    if (words[0] != "PUB" && !with_headers) continue;
    const size_t fixed = with_headers ? 4 : 3;
    Published published;
    published.subject = words[1];
    if (words.size() > fixed) published.reply = words[2];
    const size_t total = std::stoul(words.back());
    const size_t head = with_headers ? std::stoul(words[words.size() - 2]) : 0;
    published.headers = Bytes(head);
    published.payload = Bytes(total - head);
    (void)Bytes(2);
    return published;
  }
}

void FakeNats::Deliver(size_t subscription, std::string_view subject,
                       std::string_view reply, std::string_view headers,
                       std::string_view payload) {
  ASSERT_LE(subscription, sids_.size());
  const std::string space = reply.empty() ? "" : " ";
  const std::string& sid = sids_[subscription - 1];
  Write(headers.empty()
            ? fmt::format("MSG {} {} {}{}{}\r\n{}\r\n", subject, sid, reply,
                          space, payload.size(), payload)
            : fmt::format("HMSG {} {} {}{}{} {}\r\n{}{}\r\n", subject, sid,
                          reply, space, headers.size(),
                          headers.size() + payload.size(), headers, payload));
}

void FakeNats::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ASSERT_GT(written, 0) << "the client has closed";
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

FakeNats::Read FakeNats::ReadMore() {
  std::array<char, 65536> buffer;
  EXPECT_TRUE(AwaitReadable(connection_.get())) << "the client sends nothing";
  const ssize_t count =
      recv(connection_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count <= 0) return Read::kEnd;
  received_.append(buffer.data(), static_cast<size_t>(count));
  return Read::kMore;
}

std::string FakeNats::Line() {
  while (true) {
    const size_t end = received_.find("\r\n");
    if (end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 2);
      return line;
    }
    if (ReadMore() == Read::kEnd) return "";
  }
}

std::string FakeNats::Bytes(size_t count) {
  while (received_.size() < count) {
    if (ReadMore() == Read::kEnd) return "";
  }
  std::string bytes = received_.substr(0, count);
  received_.erase(0, count);
  return bytes;
}

}  // namespace fifobus::bridge
