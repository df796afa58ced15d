#ifndef FIFOBUS_TESTS_BRIDGE_FAKE_NATS_H_
#define FIFOBUS_TESTS_BRIDGE_FAKE_NATS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/unique_fd.h"

namespace fifobus::bridge {

// The server's end of NATS's protocol, for tests that say each step:
// https://docs.nats.io/reference/reference-protocols/nats-protocol. It has no
// thread: each call waits for what its name says, at most a minute.
// Thread-compatible.
class FakeNats {
 public:
  // Listens on a free port of 127.0.0.1.
  FakeNats();

  std::string url() const;
  // Takes the next connection; the one before is closed. Answers until the client
  // has subscribed to `subjects` subjects.
  void Accept(size_t subjects, size_t payload_bytes_max = 1 << 20);
  void Close() { connection_.Reset(); }

  // What the client publishes next.
  struct Published {
    std::string subject;
    std::string reply;
    std::string headers;  // the block; empty: none
    std::string payload;
  };
  Published Next();

  // To the subscription of this number, from 1 on, in the order of subscribing.
  void Deliver(size_t subscription, std::string_view subject,
               std::string_view reply, std::string_view headers,
               std::string_view payload);
  // As it is.
  void Write(std::string_view bytes);

 private:
  // A line without its end; empty if the client has closed.
  std::string Line();
  std::string Bytes(size_t count);
  // More of what the client sends.
  enum class Read { kMore, kEnd };
  [[nodiscard]] Read ReadMore();

  UniqueFd listener_;
  UniqueFd connection_;
  std::string received_;
  std::vector<std::string> sids_;  // of the client's subscriptions
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_TESTS_BRIDGE_FAKE_NATS_H_
