#include "clients/cpp/internal/ready_fd.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/time/time.h"

namespace fifobus {
namespace {

absl::Status Add(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "epoll_ctl");
}

}  // namespace

absl::Status ReadyFd::Open() {
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  flag_.Reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_.valid() || !timer_.valid() || !flag_.valid()) {
    return absl::ErrnoToStatus(errno, "epoll_create1, timerfd, eventfd");
  }
  const absl::Status status = Add(epoll_.get(), timer_.get(), EPOLLIN);
  return status.ok() ? Add(epoll_.get(), flag_.get(), EPOLLIN) : status;
}

absl::Status ReadyFd::AddDown(int down) {
  return Add(epoll_.get(), down, EPOLLIN);
}

void ReadyFd::WatchRoom(int up, bool watch) {
  if (watch == watches_room_ || up < 0) return;
  watches_room_ = watch;
  if (watch) {
    (void)Add(epoll_.get(), up, EPOLLOUT);
  } else {
    (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, up, nullptr);
  }
}

void ReadyFd::RemovePipes(int up, int down) {
  WatchRoom(up, false);
  watches_room_ = false;
  if (down >= 0) (void)epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, down, nullptr);
}

void ReadyFd::SetReadable(bool readable) {
  if (readable == std::exchange(is_readable_, readable)) return;
  uint64_t count = 1;
  if (readable) {
    (void)!write(flag_.get(), &count, sizeof(count));
  } else {
    (void)!read(flag_.get(), &count, sizeof(count));
  }
}

void ReadyFd::SetTimer(Deadline time) {
  itimerspec after = {};  // zeros: never
  if (!time.IsNever()) {
    after.it_value =
        absl::ToTimespec(std::max(absl::Nanoseconds(1), time.Rest()));
  }
  timerfd_settime(timer_.get(), 0, &after, nullptr);
}

void ReadyFd::Forget() {
  for (UniqueFd* fd : {&epoll_, &timer_, &flag_}) fd->Reset();
}

}  // namespace fifobus
