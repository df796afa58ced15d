#ifndef FIFOBUS_BROKER_IO_EGRESS_PIPE_H_
#define FIFOBUS_BROKER_IO_EGRESS_PIPE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/io/event_loop.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/worker.h"
#include "broker/options.h"
#include "broker/seam/sink.h"

namespace fifobus {

namespace pb::state {
class EgressPipe;
}  // namespace pb::state

// The writing end of a FIFO.
//
// Registered once for EPOLLOUT, edge-triggered: the kernel reports the edge
// when a full pipe gets a free slot, and a write that was cut short has found
// it full, so no registration changes per message (epoll(7)).
//
// Worker-affine, but for Write and status, which any worker calls under its
// Egress's lock, and StartStallClock and RequestEnd. The Egress is closed before
// the pipe, so that nothing is written to a descriptor that is closed and
// perhaps taken again.
class EgressPipe : public Sink,
                   public Pollable,
                   public std::enable_shared_from_this<EgressPipe> {
 public:
  // `growth` must live until the pipe is closed; null: the pipe keeps its size.
  static std::shared_ptr<EgressPipe> Make(Worker& worker, UniqueFd fd,
                                          const BrokerOptions& options,
                                          PipeGrowth* growth);
  ~EgressPipe() override;

  // From now on no slice of at most PIPE_BUF bytes is written in part: see
  // WriteWholeSlices. Before Open.
  void WriteWholeOnes() { writes_whole_ones_ = true; }

  // Begins to report, until Close: to `observer` what Sink promises, and to
  // `on_no_reader` that no process has the reading end open any more, or that
  // the pipe is to be ended all the same.
  absl::Status Open(std::shared_ptr<SinkObserver> observer,
                    std::function<void()> on_no_reader);
  void Close();

  // Whether no process has the reading end open now.
  bool LacksReader() const;
  // See whole_writes.h.
  std::optional<char> NewestUnreadByte() const;
  // Takes what no reader has read out of the pipe.
  std::string TakeUnread();

  // What an upgrade takes over, until Close, and a pipe of the same descriptor.
  pb::state::EgressPipe Export() const;
  void Restore(const pb::state::EgressPipe& state);

  SinkResult Write(absl::Span<const Slice> slices,
                   const Staged* staged) override;
  SinkResult WriteStored(absl::Span<const Slice> slices,
                         const StoredSlices& stored) override;
  Status status() const override;
  void StartStallClock() override;
  void RequestEnd() override;

  void OnEvents(uint32_t events) override;

 private:
  SinkResult NoteWritten(const SinkResult& result,
                         absl::Span<const Slice> slices);
  EgressPipe(Worker& worker, UniqueFd fd, const BrokerOptions& options,
             PipeGrowth* growth);

  Worker& worker_;
  UniqueFd fd_;
  const absl::Duration stall_timeout_;
  GrowingPipe growing_;  // of whoever writes
  std::shared_ptr<SinkObserver> observer_;
  std::function<void()> on_no_reader_;
  EventLoop::Registration registration_;
  bool writes_whole_ones_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_EGRESS_PIPE_H_
