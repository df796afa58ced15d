// The limit: bare FIFOs and a relay that does nothing but move bytes. No
// topics, no framing; all payloads have one size.
//
// Addresses are FIFOs that exist; `ping` takes two, separated by a comma.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_split.h"
#include "bench/load/transport.h"

namespace fifobus::bench {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr size_t kBatchBytes = size_t{64} << 10;

int Open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) Die(path + ": " + std::strerror(errno));
  return fd;
}

std::string PartOf(const std::string& address, size_t index) {
  const std::vector<std::string> parts = absl::StrSplit(address, ',');
  return parts[std::min(index, parts.size() - 1)];
}

void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0) Die(std::string("write: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

bool PollIn(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  return poll(&polled, 1, kIdleMillis) == 1;
}

// Reads as `wait` says; 0: nothing came in time, or the writer is gone.
size_t ReadSome(int fd, Wait wait, std::string& buffer) {
  // Counted, not timed, when spinning: a clock costs as much as a read.
  for (int tries = 0;; ++tries) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size >= 0) return static_cast<size_t>(size);
    if (errno != EAGAIN) Die(std::string("read: ") + std::strerror(errno));
    if (wait == Wait::kEpoll && !PollIn(fd)) return 0;
    if (wait == Wait::kSleep && tries > kIdleMillis) return 0;
    if (wait == Wait::kBusy && tries > 20'000'000) return 0;
    Pause(wait);
  }
}

int ModeFlag(Wait wait) { return wait == Wait::kBlocking ? 0 : O_NONBLOCK; }

class FifoPublisher : public Publisher {
 public:
  explicit FifoPublisher(const LoadOptions& options)
      : fd_(Open(PartOf(options.address, 0), O_WRONLY)),
        batch_(options.batch) {}
  void Publish(std::string_view payload) override {
    if (!batch_) return WriteAll(fd_, payload);
    gathered_.append(payload);
    if (gathered_.size() >= kBatchBytes) Flush();
  }
  void Flush() override {
    WriteAll(fd_, gathered_);
    gathered_.clear();
  }

 private:
  const int fd_;
  const bool batch_;
  std::string gathered_;
};

class FifoSubscriber : public Subscriber {
 public:
  explicit FifoSubscriber(const LoadOptions& options)
      : fd_(Open(PartOf(options.address, 1), O_RDWR)),
        size_(options.size),
        wait_(options.wait),
        buffer_(kReadBytes, '\0') {
    // Opened for both, so that it need not wait for a writer.
    fcntl(fd_, F_SETFL, ModeFlag(wait_));
  }
  bool Receive(const OnPayload& on_payload) override {
    const size_t bytes = ReadSome(fd_, wait_, buffer_);
    if (bytes == 0) return false;
    std::string_view rest(buffer_.data(), bytes);
    if (!carry_.empty()) {
      const size_t missing = std::min(size_ - carry_.size(), rest.size());
      carry_.append(rest.substr(0, missing));
      rest.remove_prefix(missing);
      if (carry_.size() < size_) return true;
      on_payload(carry_);
      carry_.clear();
    }
    while (rest.size() >= size_) {
      on_payload(rest.substr(0, size_));
      rest.remove_prefix(size_);
    }
    carry_.assign(rest);
    return true;
  }

 private:
  const int fd_;
  const size_t size_;
  const Wait wait_;
  std::string buffer_;
  std::string carry_;
};

void RelayByWrite(int from, const std::vector<int>& to, Wait wait) {
  std::string buffer(kReadBytes, '\0');
  while (true) {
    const size_t bytes = ReadSome(from, wait, buffer);
    for (const int fd : to) WriteAll(fd, {buffer.data(), bytes});
  }
}

// Copies once into a pipe of its own, as a broker that does not trust its
// publishers must. From there it hands the bytes on by tee(2), and waits for
// the slowest subscriber.
void RelayByTee(int from, const std::vector<int>& to, Wait wait) {
  int staging[2];
  if (pipe2(staging, O_CLOEXEC) != 0) Die("pipe2");
  fcntl(staging[1], F_SETPIPE_SZ, 1 << 20);
  const int nowhere = Open("/dev/null", O_WRONLY);
  std::string buffer(kReadBytes, '\0');
  while (true) {
    const size_t bytes = ReadSome(from, wait, buffer);
    WriteAll(staging[1], {buffer.data(), bytes});
    for (const int fd : to) {
      const ssize_t copied = tee(staging[0], fd, bytes, 0);
      if (copied < 0) Die(std::string("tee: ") + std::strerror(errno));
      // What a full pipe did not take goes from memory.
      WriteAll(fd, std::string_view(buffer.data(), bytes)
                       .substr(static_cast<size_t>(copied)));
    }
    for (size_t left = bytes; left > 0;) {
      left -= static_cast<size_t>(
          splice(staging[0], nullptr, nowhere, nullptr, left, 0));
    }
  }
}

}  // namespace

std::unique_ptr<Publisher> MakePublisher(const LoadOptions& options) {
  return std::make_unique<FifoPublisher>(options);
}

std::unique_ptr<Subscriber> MakeSubscriber(const LoadOptions& options) {
  return std::make_unique<FifoSubscriber>(options);
}

void RunRelay(const RelayOptions& options) {
  signal(SIGPIPE, SIG_IGN);
  const int from = Open(options.from, O_RDWR);
  fcntl(from, F_SETFL, ModeFlag(options.wait));
  std::vector<int> to;
  for (const auto path : absl::StrSplit(options.to, ',')) {
    to.push_back(Open(std::string(path), O_RDWR));
  }
  // Large pipes, as fifobus gives itself.
  fcntl(from, F_SETPIPE_SZ, 1 << 18);
  for (const int fd : to) fcntl(fd, F_SETPIPE_SZ, 1 << 19);
  if (options.tee) RelayByTee(from, to, options.wait);
  RelayByWrite(from, to, options.wait);
  Die("unreachable");
}

}  // namespace fifobus::bench
