#include "broker/bus/last_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/io/open_beneath.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

constexpr char kAttribute[] = "user.fifobus.message";
// The kernel takes no larger attribute: xattr(7).
constexpr size_t kAttributeBytesMax = size_t{64} << 10;

struct Place {
  std::string folder;
  std::string name;
};

Place PlaceOf(std::string_view topic) {
  const std::string path = LastPath(topic);
  const size_t slash = path.rfind('/');
  return {path.substr(0, slash), path.substr(slash + 1)};
}

absl::Status Failed(std::string_view what, std::string_view path) {
  return absl::ErrnoToStatus(errno, fmt::format("{} {}", what, path));
}

// Makes what is missing of a path below the bus directory.
absl::StatusOr<UniqueFd> OpenFolder(int bus_fd, const std::string& path) {
  constexpr uint64_t kFolder = O_RDONLY | O_DIRECTORY;
  UniqueFd folder = OpenBeneath(bus_fd, path, kFolder);
  if (folder.valid()) return folder;
  if (errno != ENOENT) return Failed("open folder", path);
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Failed("open folder", path);
  auto parent = OpenFolder(bus_fd, path.substr(0, slash));
  if (!parent.ok()) return parent.status();
  const std::string name = path.substr(slash + 1);
  if (mkdirat(parent->get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failed("mkdir", path);
  }
  folder = OpenBeneath(bus_fd, path, kFolder);
  if (!folder.valid()) return Failed("open folder", path);
  return folder;
}

absl::Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

// Best effort: not all file systems have attributes, some only small ones. The
// payload and its time are worth having without.
void WriteAttributes(int fd, const pb::Message& message) {
  pb::Message rest = message;
  rest.clear_topic();
  rest.clear_payload();
  const std::string bytes = rest.SerializeAsString();
  (void)fsetxattr(fd, kAttribute, bytes.data(), bytes.size(), 0);
  if (message.publish_time_unix_nanos() == 0) return;
  const timespec published = absl::ToTimespec(absl::FromUnixNanos(
      static_cast<int64_t>(message.publish_time_unix_nanos())));
  const timespec times[2] = {{0, UTIME_NOW}, published};
  (void)futimens(fd, times);
}

// What the attribute says; without it, the file's time.
pb::Message ReadAttributes(int fd, const struct stat& status) {
  pb::Message message;
  std::string bytes(kAttributeBytesMax, '\0');
  const ssize_t size = fgetxattr(fd, kAttribute, bytes.data(), bytes.size());
  if (size < 0 ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(size))) {
    message.Clear();
    message.set_publish_time_unix_nanos(static_cast<uint64_t>(
        absl::ToUnixNanos(absl::TimeFromTimespec(status.st_mtim))));
  }
  return message;
}

absl::StatusOr<std::string> ReadPayload(int fd, size_t size,
                                        const std::string& path) {
  std::string payload(size, '\0');
  size_t filled = 0;
  while (filled < size) {
    const ssize_t part = read(fd, payload.data() + filled, size - filled);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) return Failed("read", path);
    if (part == 0) break;  // it was cut meanwhile
    filled += static_cast<size_t>(part);
  }
  payload.resize(filled);
  return payload;
}

}  // namespace

absl::Status WriteLastFile(int bus_fd, std::string_view frame) {
  pb::Frame parsed;
  if (!parsed.ParseFromArray(
          frame.data() + kFramePrefixBytes,
          static_cast<int>(frame.size() - kFramePrefixBytes))) {
    return absl::InternalError("a checked frame does not parse");
  }
  const pb::Message& message = parsed.message();
  const Place place = PlaceOf(message.topic());
  auto folder = OpenFolder(bus_fd, place.folder);
  if (!folder.ok()) return folder.status();
  const std::string draft = "." + place.name;
  // What a killed broker has left.
  (void)unlinkat(folder->get(), draft.c_str(), 0);
  const UniqueFd file = OpenBeneath(
      folder->get(), draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file.valid()) return Failed("make", draft);
  absl::Status status = WriteAll(file.get(), message.payload(), draft);
  if (status.ok()) {
    WriteAttributes(file.get(), message);
    if (renameat(folder->get(), draft.c_str(), folder->get(),
                 place.name.c_str()) != 0) {
      status = Failed("rename to", LastPath(message.topic()));
    }
  }
  if (!status.ok()) (void)unlinkat(folder->get(), draft.c_str(), 0);
  return status;
}

absl::Status RemoveLastFile(int bus_fd, std::string_view topic) {
  const Place place = PlaceOf(topic);
  const UniqueFd folder =
      OpenBeneath(bus_fd, place.folder, O_RDONLY | O_DIRECTORY);
  if (!folder.valid()) {
    return errno == ENOENT ? absl::OkStatus()
                           : Failed("open folder", place.folder);
  }
  if (unlinkat(folder.get(), place.name.c_str(), 0) != 0 && errno != ENOENT) {
    return Failed("unlink", LastPath(topic));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadLastFile(int bus_fd, std::string_view topic,
                                         size_t frame_bytes_max) {
  const std::string path = LastPath(topic);
  // Without O_NONBLOCK the opening of a FIFO would wait.
  const UniqueFd file = OpenBeneath(bus_fd, path, O_RDONLY | O_NONBLOCK);
  if (!file.valid()) return Failed("open", path);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return Failed("stat", path);
  if (!S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError("it is not a regular file");
  }
  if (status.st_uid != geteuid()) {
    return absl::FailedPreconditionError(
        fmt::format("it belongs to user {}", status.st_uid));
  }
  if (static_cast<size_t>(status.st_size) > frame_bytes_max) {
    return absl::FailedPreconditionError("it is larger than a frame may be");
  }
  pb::Frame frame;
  pb::Message& message = *frame.mutable_message();
  message = ReadAttributes(file.get(), status);
  message.set_topic(topic.data(), topic.size());
  auto payload =
      ReadPayload(file.get(), static_cast<size_t>(status.st_size), path);
  if (!payload.ok()) return payload.status();
  // An empty message with `retain` would clear; it was kept as history.
  message.set_retain(!payload->empty());
  message.set_payload(*std::move(payload));
  std::string bytes;
  AppendFrame(frame, bytes);
  if (bytes.size() - kFramePrefixBytes > frame_bytes_max) {
    return absl::FailedPreconditionError("it is larger than a frame may be");
  }
  const FrameFault fault = ReadMessageFrame(bytes).fault;
  if (fault != FrameFault::kNone) {
    return absl::FailedPreconditionError(
        fmt::format("its attribute is bad: {}", FrameFaultText(fault)));
  }
  return bytes;
}

}  // namespace fifobus
