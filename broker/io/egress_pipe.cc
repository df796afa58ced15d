#include "broker/io/egress_pipe.h"

#include <sys/epoll.h>

#include <utility>

#include "broker/base/check.h"
#include "broker/io/fifo.h"

namespace fifobus {

std::shared_ptr<EgressPipe> EgressPipe::Make(Worker& worker, UniqueFd fd,
                                             absl::Duration stall_timeout) {
  return std::shared_ptr<EgressPipe>(
      new EgressPipe(worker, std::move(fd), stall_timeout));
}

EgressPipe::EgressPipe(Worker& worker, UniqueFd fd,
                       absl::Duration stall_timeout)
    : worker_(worker), fd_(std::move(fd)), stall_timeout_(stall_timeout) {}

EgressPipe::~EgressPipe() { FIFOBUS_CHECK(registration_.generation == 0); }

absl::Status EgressPipe::Open(std::shared_ptr<SinkObserver> observer,
                              std::function<void()> on_no_reader) {
  FIFOBUS_CHECK(worker_.IsCurrent());
  auto registration = worker_.loop().Add(fd_.get(), EPOLLOUT, *this);
  if (!registration.ok()) return registration.status();
  registration_ = *registration;
  observer_ = std::move(observer);
  on_no_reader_ = std::move(on_no_reader);
  return absl::OkStatus();
}

void EgressPipe::Close() {
  FIFOBUS_CHECK(worker_.IsCurrent());
  if (!fd_.valid()) return;
  if (registration_.generation != 0) {
    worker_.loop().Remove(fd_.get(), registration_);
  }
  fd_.Reset();
  observer_.reset();
  on_no_reader_ = nullptr;
}

bool EgressPipe::LacksReader() const { return fifobus::LacksReader(fd_.get()); }

SinkResult EgressPipe::Write(absl::Span<const Slice> slices) {
  return WriteFifo(fd_.get(), slices);
}

void EgressPipe::StartStallClock() {
  worker_.loop().Post([weak = weak_from_this()] {
    const std::shared_ptr<EgressPipe> pipe = weak.lock();
    if (!pipe) return;
    pipe->worker_.loop().RunAfter(pipe->stall_timeout_, [weak] {
      const std::shared_ptr<EgressPipe> later = weak.lock();
      if (later && later->observer_) later->observer_->OnStallTimeout();
    });
  });
}

void EgressPipe::OnEvents(uint32_t events) {
  const std::shared_ptr<EgressPipe> self = shared_from_this();
  if ((events & EPOLLERR) != 0) {
    on_no_reader_();
  } else if (observer_) {
    observer_->OnWritable();
  }
}

}  // namespace fifobus
