#ifndef FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_
#define FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/io/event_loop.h"
#include "broker/io/inotify.h"
#include "broker/io/worker.h"

namespace fifobus {

// Directories that a worker watches. Worker-affine.
class DirectoryWatch : public Pollable {
 public:
  using OnEvent = Inotify::OnEvent;
  using OnOverflow = Inotify::OnOverflow;
  using Opens = Inotify::Opens;

  static constexpr int kNoWatch = Inotify::kNoWatch;

  static absl::StatusOr<std::unique_ptr<DirectoryWatch>> Open(
      Worker& worker, OnEvent on_event, OnOverflow on_overflow);
  ~DirectoryWatch() override;

  // See Inotify.
  absl::StatusOr<int> Watch(const std::string& path, Opens opens) {
    return inotify_.Watch(path, opens);
  }
  void Unwatch(int watch) { inotify_.Unwatch(watch); }

  // Delivers what has happened up to now. Does nothing if a handler calls it.
  void Drain();

  void OnEvents(uint32_t events) override;

 private:
  DirectoryWatch(Worker& worker, Inotify inotify, OnEvent on_event,
                 OnOverflow on_overflow);

  Worker& worker_;
  Inotify inotify_;
  const OnEvent on_event_;
  const OnOverflow on_overflow_;
  EventLoop::Registration registration_;
  bool draining_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_DIRECTORY_WATCH_H_
