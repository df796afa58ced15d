#include "broker/io/egress_pipe.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/io/fifo.h"
#include "broker/io/file_splice.h"
#include "broker/io/staging_pipe.h"
#include "broker/io/whole_writes.h"
#include "broker/state/delivery_state.pb.h"

namespace fifobus {
namespace {

size_t LargestBytes(absl::Span<const Slice> slices) {
  size_t bytes = 0;
  for (const Slice& slice : slices) bytes = std::max(bytes, slice.size);
  return bytes;
}

}  // namespace

std::shared_ptr<EgressPipe> EgressPipe::Make(Worker& worker, UniqueFd fd,
                                             const BrokerOptions& options,
                                             PipeGrowth* growth) {
  return std::shared_ptr<EgressPipe>(
      new EgressPipe(worker, std::move(fd), options, growth));
}

EgressPipe::EgressPipe(Worker& worker, UniqueFd fd,
                       const BrokerOptions& options, PipeGrowth* growth)
    : worker_(worker),
      fd_(std::move(fd)),
      stall_timeout_(options.stall_timeout),
      growing_(growth, PipeUse::kEgress) {}

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
  growing_.GiveBack();
  observer_.reset();
  on_no_reader_ = nullptr;
}

bool EgressPipe::LacksReader() const { return fifobus::LacksReader(fd_.get()); }

std::optional<char> EgressPipe::NewestUnreadByte() const {
  return fifobus::NewestUnreadByte(fd_.get());
}

std::string EgressPipe::TakeUnread() { return fifobus::TakeUnread(fd_.get()); }

pb::state::EgressPipe EgressPipe::Export() const {
  FIFOBUS_CHECK(fd_.valid());
  pb::state::EgressPipe state;
  state.set_pipe_fd(fd_.get());
  state.set_grown_bytes(growing_.taken_bytes());
  return state;
}

void EgressPipe::Restore(const pb::state::EgressPipe& state) {
  growing_.TakeOver(state.grown_bytes());
}

SinkResult EgressPipe::Write(absl::Span<const Slice> slices,
                             const Staged* staged) {
  return NoteWritten(writes_whole_ones_ ? WriteWholeSlices(fd_.get(), slices)
                     : staged == nullptr
                         ? WriteFifo(fd_.get(), slices)
                         : WriteStaged(*staged, fd_.get(), slices),
                     slices);
}

SinkResult EgressPipe::WriteStored(absl::Span<const Slice> slices,
                                   const StoredSlices& stored) {
  if (writes_whole_ones_) return Write(slices, nullptr);
  return NoteWritten(SpliceFromFile(stored, fd_.get(), slices), slices);
}

SinkResult EgressPipe::NoteWritten(const SinkResult& result,
                                   absl::Span<const Slice> slices) {
  if (result.outcome == SinkOutcome::kWouldBlock) {
    growing_.OnFull(fd_.get(), LargestBytes(slices));
  }
  return result;
}

Sink::Status EgressPipe::status() const {
  if (!fd_.valid()) return {};
  return {PipeBytes(fd_.get()), UnreadBytes(fd_.get())};
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

void EgressPipe::RequestEnd() {
  worker_.loop().Post([weak = weak_from_this()] {
    const std::shared_ptr<EgressPipe> pipe = weak.lock();
    if (pipe && pipe->on_no_reader_) pipe->on_no_reader_();
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
