#include "clients/cli/conformance/bus.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "clients/cli/conformance/client.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"
#include "proto/version.h"

namespace fifobus::cli {
namespace {

int MillisTo(absl::Duration deadline) {
  return static_cast<int>(absl::ToInt64Milliseconds(
      std::max(absl::ZeroDuration(), deadline - MonotonicNow())));
}

bool Poll(int fd, int16_t events, absl::Duration deadline) {
  pollfd ready = {fd, events, 0};
  return poll(&ready, 1, MillisTo(deadline)) == 1;
}

absl::Status Broken(std::string text) {
  return absl::FailedPreconditionError(std::move(text));
}

mode_t ModeOf(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return 0;
  return S_ISFIFO(status.st_mode) ? status.st_mode & 0777 : 0;
}

}  // namespace

ConformanceSession::ConformanceSession(UniqueFd up, UniqueFd up_writer,
                                       UniqueFd down)
    : up_(std::move(up)),
      up_writer_(std::move(up_writer)),
      down_(std::move(down)) {
  pong_.set_level(pb::Confirm::LEVEL_ACCEPTED);
}

ConformanceSession::Fill ConformanceSession::FillUntil(
    absl::Duration deadline) {
  while (true) {
    std::array<char, 65536> buffer;
    const ssize_t bytes = read(up_.get(), buffer.data(), buffer.size());
    if (bytes > 0) {
      received_.append(buffer.data(), static_cast<size_t>(bytes));
      return Fill::kBytes;
    }
    if (bytes == 0) return Fill::kEnd;
    if (errno == EINTR) continue;
    if (MonotonicNow() >= deadline) return Fill::kNothing;
    (void)Poll(up_.get(), POLLIN, deadline);
  }
}

// A client may ask at any time whether all was taken.
absl::StatusOr<pb::Frame> ConformanceSession::Read() {
  while (true) {
    auto frame = ReadNext();
    if (!frame.ok() || !frame->has_ping()) return frame;
    const absl::Status status = Answer(frame->ping());
    if (!status.ok()) return status;
  }
}

absl::Status ConformanceSession::Answer(const pb::Ping& ping) {
  last_ping_ = ping;
  pb::Frame frame;
  *frame.mutable_pong() = pong_;
  frame.mutable_pong()->set_token(ping.token());
  return Write(frame);
}

absl::StatusOr<pb::Frame> ConformanceSession::ReadNext() {
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (true) {
    const FrameExtent extent = FindFrame(received_, kFrameBytesMaxDefault);
    if (extent.state == FrameExtent::State::kTooLarge) {
      return Broken("it wrote what is no frame: its length is too large");
    }
    if (extent.state == FrameExtent::State::kWhole) {
      frame_ = received_.substr(0, extent.frame_bytes);
      received_.erase(0, extent.frame_bytes);
      break;
    }
    switch (FillUntil(deadline)) {
      case Fill::kBytes:
        continue;
      case Fill::kNothing:
        return Broken("it wrote no frame in time");
      case Fill::kEnd:
        return Broken(received_.empty() ? "it closed `up`"
                                        : "it closed `up` inside a frame");
    }
  }
  const std::string_view body = frame().substr(kFramePrefixBytes);
  const FrameView view = ReadFrame(body);
  FrameFault fault = view.fault;
  if (fault == FrameFault::kNone && view.kind == FrameKind::kMessage) {
    fault = ReadMessage(view.member).fault;
  }
  pb::Frame frame;
  if (fault != FrameFault::kNone ||
      !frame.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return Broken(fmt::format("it wrote a frame that a broker refuses: {}",
                              FrameFaultText(fault)));
  }
  return frame;
}

absl::StatusOr<pb::Frame> ConformanceSession::Read(bool (pb::Frame::*has)()
                                                       const,
                                                   std::string_view name) {
  auto frame = Read();
  if (frame.ok() && !((*frame).*has)()) {
    return Broken(fmt::format("it wrote {} and not {}",
                              frame->ShortDebugString().substr(0, 60), name));
  }
  return frame;
}

absl::Status ConformanceSession::ExpectSilence(absl::Duration duration) {
  if (received_.empty() &&
      FillUntil(MonotonicNow() + duration) != Fill::kBytes) {
    return absl::OkStatus();
  }
  return Broken("it wrote more");
}

absl::Status ConformanceSession::ExpectEnd() {
  // The writing end that looks for readers would hide the hang-up.
  up_writer_.Reset();
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (true) {
    if (FindFrame(received_, kFrameBytesMaxDefault).state !=
        FrameExtent::State::kPartial) {
      const auto rest = ReadNext();
      if (!rest.ok()) return rest.status();
      if (rest->has_ping()) {
        (void)Answer(rest->ping());  // it may have closed `down` already
      } else if (!rest->has_goodbye()) {
        return Broken("it wrote more before the end");
      }
      continue;
    }
    const Fill fill = FillUntil(deadline);
    if (fill == Fill::kEnd) break;
    if (fill == Fill::kNothing) return Broken("it does not close `up`");
  }
  return received_.empty() ? absl::OkStatus()
                           : Broken("it closed `up` inside a frame");
}

absl::Status ConformanceSession::Write(std::string_view bytes) {
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (!bytes.empty()) {
    const ssize_t written = write(down_.get(), bytes.data(), bytes.size());
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    if (written < 0 && errno == EPIPE) return Broken("it closed `down`");
    if (written < 0 && !Poll(down_.get(), POLLOUT, deadline)) {
      return Broken("it does not read `down`");
    }
  }
  return absl::OkStatus();
}

absl::Status ConformanceSession::Write(const pb::Frame& frame) {
  std::string bytes;
  AppendFrame(frame, bytes);
  return Write(bytes);
}

absl::Status ConformanceSession::Welcome(uint32_t frame_bytes_max) {
  pb::Frame frame;
  pb::Welcome& welcome = *frame.mutable_welcome();
  welcome.set_protocol_version(kProtocolVersion);
  welcome.set_frame_bytes_max(
      frame_bytes_max != 0 ? frame_bytes_max : uint32_t{kFrameBytesMaxDefault});
  welcome.set_broker_version("conformance");
  welcome.set_broker_pid(static_cast<uint32_t>(getpid()));
  welcome.set_session_number(1);
  return Write(frame);
}

absl::StatusOr<pb::Subscribe> ConformanceSession::Subscribed() {
  const auto frame = Read(&pb::Frame::has_subscribe, "Subscribe");
  if (!frame.ok()) return frame.status();
  pb::Frame answer;
  answer.mutable_subscribed()->set_request_id(frame->subscribe().request_id());
  const absl::Status status = Write(answer);
  if (!status.ok()) return status;
  return frame->subscribe();
}

bool ConformanceSession::ClientReadsUp() {
  // POLLERR: no reader is left.
  const absl::Duration deadline = MonotonicNow() + kPatience;
  while (MonotonicNow() < deadline) {
    pollfd writer = {up_writer_.get(), 0, 0};
    if (poll(&writer, 1, 5) == 1) return false;
  }
  return true;
}

ConformanceBus::ConformanceBus() {
  std::string name = "/dev/shm/fifobus-conformance.XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    name = "/tmp/fifobus-conformance.XXXXXX";
    (void)!mkdtemp(name.data());
  }
  dir_ = name + "/bus";
  setenv("FIFOBUS_DIR", dir_.c_str(), 1);
}

ConformanceBus::~ConformanceBus() {
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(dir_).parent_path(),
                              ignored);
}

std::string ConformanceBus::PathOf(std::string_view path) const {
  return fmt::format("{}/{}", dir_, path);
}

absl::Status ConformanceBus::Live() {
  mkdir(dir_.c_str(), 0700);
  mkdir(PathOf(kTopicsFolder).c_str(), 0700);
  const std::string sessions = PathOf(kSessionsFolder);
  mkdir(sessions.c_str(), 0700);
  if (!watch_.valid()) {
    watch_.Reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (inotify_add_watch(watch_.get(), sessions.c_str(),
                          IN_CREATE | IN_MOVED_TO) < 0) {
      return absl::ErrnoToStatus(errno, sessions);
    }
  }
  const std::string alive = PathOf(kAliveName);
  if (mkfifo(alive.c_str(), 0600) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, alive);
  }
  alive_.Reset(open(alive.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  return absl::OkStatus();
}

absl::StatusOr<ConformanceBus::Offer> ConformanceBus::AwaitOffer(
    absl::Duration patience) {
  const absl::Duration deadline = MonotonicNow() + patience;
  while (MonotonicNow() < deadline) {
    if (!Poll(watch_.get(), POLLIN, deadline)) break;
    alignas(inotify_event) std::array<char, 4096> buffer;
    const ssize_t bytes = read(watch_.get(), buffer.data(), buffer.size());
    std::string id;
    for (ssize_t at = 0; at < bytes;) {
      const auto* event =
          reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      const std::string_view name = event->name;
      events_ += fmt::format(
          "{} {}\n", (event->mask & IN_CREATE) != 0 ? "create" : "move", name);
      if (!name.starts_with('.') && name.ends_with(kUpSuffix)) {
        id = WithoutSuffix(name, kUpSuffix);
      }
    }
    if (id.empty()) continue;
    return Offer{id, ModeOf(PathOf(DownPath(id))), ModeOf(PathOf(UpPath(id))),
                 std::exchange(events_, "")};
  }
  return Broken("it offered no session");
}

absl::StatusOr<ConformanceSession> ConformanceBus::Take(const Offer& offer) {
  const std::string down_path = PathOf(DownPath(offer.id));
  const std::string up_path = PathOf(UpPath(offer.id));
  const auto open_end = [](const std::string& path, int access) {
    return UniqueFd(
        open(path.c_str(), access | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  };
  UniqueFd down = open_end(down_path, O_WRONLY);
  if (!down.valid()) return Broken("it does not have `down` open for reading");
  UniqueFd up = open_end(up_path, O_RDONLY);
  UniqueFd up_writer = open_end(up_path, O_WRONLY);
  if (!up.valid() || !up_writer.valid()) return Broken("there is no `up`");
  unlink(down_path.c_str());
  unlink(up_path.c_str());
  return ConformanceSession(std::move(up), std::move(up_writer),
                            std::move(down));
}

absl::StatusOr<ConformanceSession> ConformanceBus::Greet() {
  const auto offer = AwaitOffer();
  if (!offer.ok()) return offer.status();
  auto session = Take(*offer);
  if (!session.ok()) return session.status();
  const auto hello = session->Read(&pb::Frame::has_hello, "Hello");
  if (!hello.ok()) return hello.status();
  return session;
}

}  // namespace fifobus::cli
