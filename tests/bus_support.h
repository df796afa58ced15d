#ifndef FIFOBUS_TESTS_BUS_SUPPORT_H_
#define FIFOBUS_TESTS_BUS_SUPPORT_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/broker.h"
#include "broker/options.h"
#include "clients/cpp/client.h"

// Real buses for tests.
namespace fifobus {

// However slow the machine: a test that waits longer has found a hang.
inline constexpr absl::Duration kHang = absl::Seconds(60);

// A new empty directory, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Waits until `condition` holds; false after kHang.
bool WaitUntil(const std::function<bool()>& condition);

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
  void Write(std::string_view bytes);
  // The next whole frame, parsed; an empty one at the end of `down`.
  pb::Frame Next();
  // Whether `down` ends without another frame.
  bool AtEnd();
  // The reading end of `down` goes away.
  void CloseDown() { down_.Reset(); }
  void CloseUp() { up_.Reset(); }
  int up() const { return up_.get(); }

 private:
  UniqueFd up_;
  UniqueFd up_reader_;
  UniqueFd down_;
  std::string received_;
};

// As RawSession's, without a message.
std::string HelloFrame();
std::string SubscribeFrame(std::string_view pattern);

// Makes a FIFO.
void MakeFifo(const std::string& path);

// Reads a descriptor, which may be non-blocking, until `bytes` bytes have come,
// its end, or kHang.
std::string ReadBytes(int fd, size_t bytes);

// Descriptors that this process has open.
size_t OpenDescriptors();
// As many descriptors as the system lets this process have.
void RaiseDescriptorLimit();

// The payloads of the next `count` messages, "(gap)" for a gap.
std::vector<std::string> ReceivePayloads(Client& client, size_t count);

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_BUS_SUPPORT_H_
