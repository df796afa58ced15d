#include "broker/io/directory_watch.h"

#include <sys/epoll.h>

#include <utility>

namespace fifobus {

absl::StatusOr<std::unique_ptr<DirectoryWatch>> DirectoryWatch::Open(
    Worker& worker, OnEvent on_event, OnOverflow on_overflow) {
  auto inotify = Inotify::Open();
  if (!inotify.ok()) return inotify.status();
  auto watch = std::unique_ptr<DirectoryWatch>(
      new DirectoryWatch(worker, *std::move(inotify), std::move(on_event),
                         std::move(on_overflow)));
  auto registration = worker.loop().Add(watch->inotify_.fd(), EPOLLIN, *watch);
  if (!registration.ok()) return registration.status();
  watch->registration_ = *registration;
  return watch;
}

DirectoryWatch::DirectoryWatch(Worker& worker, Inotify inotify,
                               OnEvent on_event, OnOverflow on_overflow)
    : worker_(worker),
      inotify_(std::move(inotify)),
      on_event_(std::move(on_event)),
      on_overflow_(std::move(on_overflow)) {}

DirectoryWatch::~DirectoryWatch() {
  if (registration_.generation != 0) {
    worker_.loop().Remove(inotify_.fd(), registration_);
  }
}

void DirectoryWatch::OnEvents(uint32_t) { Drain(); }

void DirectoryWatch::Drain() {
  if (draining_) return;
  draining_ = true;
  inotify_.Drain(on_event_, on_overflow_);
  draining_ = false;
}

}  // namespace fifobus
