#include "clients/cpp/internal/session_pipes.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "clients/cpp/internal/nosignal_write.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

// 128 random bits: no two clients ever meet.
std::string NewId() {
  std::array<uint64_t, 2> bits = {};
  // Never short for so few bytes: getrandom(2).
  (void)!getrandom(bits.data(), sizeof(bits), 0);
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

// Removes names whose making did not come to its end.
class UnfinishedName {
 public:
  explicit UnfinishedName(std::string path) : path_(std::move(path)) {}
  ~UnfinishedName() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  UnfinishedName(const UnfinishedName&) = delete;
  UnfinishedName& operator=(const UnfinishedName&) = delete;

  const char* path() const { return path_.c_str(); }

  absl::Status MakeFifo() {
    if (mkfifo(path(), 0600) == 0) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, fmt::format("mkfifo {}", path_));
  }
  absl::Status RenameTo(const std::string& to) {
    if (rename(path(), to.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, fmt::format("rename {}", path_));
    }
    path_.clear();
    return absl::OkStatus();
  }

 private:
  std::string path_;
};

absl::StatusOr<UniqueFd> OpenEnd(const char* path, int access) {
  UniqueFd fd(open(path, access | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid()) return fd;
  return absl::ErrnoToStatus(errno, fmt::format("open {}", path));
}

bool AreSame(int a, int b) {
  struct stat of_a = {};
  struct stat of_b = {};
  return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

absl::Status WriteHello(int fd, std::string_view hello) {
  const iovec part = {const_cast<char*>(hello.data()), hello.size()};
  const ssize_t bytes = WriteWithoutSignal(fd, &part, 1);
  if (bytes == static_cast<ssize_t>(hello.size())) return absl::OkStatus();
  if (bytes < 0) return absl::ErrnoToStatus(errno, "write Hello");
  return absl::UnavailableError(fmt::format(
      "a new pipe takes {} bytes, and Hello has {}: the will is too long, or "
      "this user has too many pipes (pipe-user-pages-soft)",
      bytes, hello.size()));
}

}  // namespace

absl::StatusOr<SessionPipes> SessionPipes::Offer(const std::string& bus,
                                                 std::string_view hello) {
  const std::string id = NewId();
  UnfinishedName down(fmt::format("{}/{}", bus, DownPath("." + id)));
  UnfinishedName up(fmt::format("{}/{}", bus, UpPath("." + id)));
  SessionPipes pipes;
  const auto open_into = [](const UnfinishedName& name, int access,
                            UniqueFd& into) -> absl::Status {
    auto fd = OpenEnd(name.path(), access);
    if (!fd.ok()) return fd.status();
    into = *std::move(fd);
    return absl::OkStatus();
  };
  absl::Status status = down.MakeFifo();
  if (status.ok()) status = up.MakeFifo();
  if (status.ok()) status = open_into(down, O_RDONLY, pipes.down_);
  if (status.ok()) status = open_into(up, O_RDONLY, pipes.up_reader_);
  if (status.ok()) status = open_into(up, O_WRONLY, pipes.up_);
  if (status.ok()) status = WriteHello(pipes.up_.get(), hello);
  if (!status.ok()) return status;
  pipes.base_ = fmt::format("{}/{}", bus, SessionsPath(id));
  status = down.RenameTo(pipes.Name(kDownSuffix));
  // The broker waits for this name, so it comes last.
  if (status.ok()) status = up.RenameTo(pipes.Name(kUpSuffix));
  if (!status.ok()) return status;
  return pipes;
}

SessionPipes& SessionPipes::operator=(SessionPipes&& other) {
  RemoveNames();
  base_ = std::exchange(other.base_, "");
  up_ = std::move(other.up_);
  up_reader_ = std::move(other.up_reader_);
  down_ = std::move(other.down_);
  return *this;
}

SessionPipes::~SessionPipes() { RemoveNames(); }

void SessionPipes::OnWelcome() {
  base_.clear();  // the broker has removed the names
  up_reader_.Reset();
}

bool SessionPipes::UpIsAbandoned() const {
  pollfd up = {up_.get(), 0, 0};
  return poll(&up, 1, 0) == 1 && (up.revents & POLLERR) != 0 && Unread() > 0;
}

size_t SessionPipes::Unread() const {
  int unread = 0;
  return ioctl(up_.get(), FIONREAD, &unread) == 0 ? static_cast<size_t>(unread)
                                                  : 0;
}

absl::StatusOr<std::string> SessionPipes::TakeBack(
    const std::string& open_files, size_t bytes_max) const {
  const std::string path = fmt::format("{}/{}", open_files, up_.get());
  const UniqueFd reader(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!reader.valid()) {
    return absl::ErrnoToStatus(errno, fmt::format("open {}", path));
  }
  if (!AreSame(reader.get(), up_.get())) {
    return absl::FailedPreconditionError(
        fmt::format("{} is not this process's own file", path));
  }
  std::string unread(std::min(Unread(), bytes_max), '\0');
  size_t bytes = 0;
  while (bytes < unread.size()) {
    const ssize_t more =
        read(reader.get(), unread.data() + bytes, unread.size() - bytes);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    bytes += static_cast<size_t>(more);
  }
  unread.resize(bytes);
  return unread;
}

void SessionPipes::CloseUp() { up_.Reset(); }

void SessionPipes::Forget() {
  base_.clear();
  for (UniqueFd* fd : {&up_, &up_reader_, &down_}) fd->Reset();
}

bool SessionPipes::NamesExist() const {
  return !base_.empty() && access(Name(kUpSuffix).c_str(), F_OK) == 0;
}

std::string SessionPipes::Name(std::string_view suffix) const {
  return base_ + std::string(suffix);
}

void SessionPipes::RemoveNames() {
  if (base_.empty()) return;
  unlink(Name(kUpSuffix).c_str());
  unlink(Name(kDownSuffix).c_str());
  base_.clear();
}

}  // namespace fifobus
