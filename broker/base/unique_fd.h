#ifndef FIFOBUS_BROKER_BASE_UNIQUE_FD_H_
#define FIFOBUS_BROKER_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace fifobus {

// Owns a file descriptor, or none. Thread-compatible.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Closes its descriptor and owns `fd` from then on.
  void Reset(int fd = -1) {
    // Linux frees the descriptor even if close fails: close(2), "Dealing with
    // error returns". A second try could close somebody else's.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BASE_UNIQUE_FD_H_
