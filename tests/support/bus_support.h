#ifndef FIFOBUS_TESTS_SUPPORT_BUS_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_BUS_SUPPORT_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/unique_fd.h"
#include "broker/broker.h"
#include "broker/options.h"
#include "clients/cpp/client.h"
#include "tests/support/pipe_support.h"

// Real buses for tests.
namespace fifobus {

// A broker in this process, on a directory of its own.
class TestBus {
 public:
  // `options.dir` is set here. The defaults are the broker's own.
  explicit TestBus(BrokerOptions options = {});

  const std::string& dir() const { return dir_.path(); }
  Broker& broker() const { return *broker_; }

  // Stops the broker, if it runs, and starts the next on the same directory.
  void Stop();
  void Restart();

  std::unique_ptr<Client> Connect(ClientOptions options = {}) const;
  // A client that has subscribed.
  std::unique_ptr<Client> Subscribe(std::string_view pattern) const;
  // The value of a counter of `fifobus ls`.
  uint64_t Count(std::string_view counter) const;

 private:
  const TempDir dir_;
  BrokerOptions options_;
  std::unique_ptr<Broker> broker_;
};

// A session without the client library: bytes as they are.
class RawSession {
 public:
  explicit RawSession(const std::string& bus);

  // Hello, and Welcome taken.
  void Greet();
  void Greet(std::string_view hello);
  void Write(std::string_view bytes);
  // The next whole frame, parsed; an empty one at the end of `down`.
  pb::Frame Next();
  // As it came, with its prefix; empty at the end of `down`.
  std::string NextBytes();
  // Whether `down` ends without another frame.
  bool AtEnd();
  // The reading end of `down` goes away.
  void CloseDown() { down_.Reset(); }
  void CloseUp() { up_.Reset(); }
  // After Welcome, as a client does. Greet does it too.
  void CloseUpReader() { up_reader_.Reset(); }
  int up() const { return up_.get(); }

 private:
  UniqueFd up_;
  UniqueFd up_reader_;
  UniqueFd down_;
  std::string received_;
  // Until the broker has opened `down` its end says nothing.
  bool writer_seen_ = false;
};

// As RawSession's, without a message.
std::string HelloFrame();
std::string SubscribeFrame(std::string_view pattern);

// The payloads of the next `count` messages, "(gap)" for a gap.
std::vector<std::string> ReceivePayloads(Client& client, size_t count);

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_BUS_SUPPORT_H_
