#ifndef FIFOBUS_BROKER_IO_INGRESS_PIPE_H_
#define FIFOBUS_BROKER_IO_INGRESS_PIPE_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/io/event_loop.h"
#include "broker/io/fifo.h"
#include "broker/io/half_received.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/rest_buffer.h"
#include "broker/io/worker.h"
#include "broker/options.h"
#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"

namespace fifobus {

class StateChunks;
namespace pb::state {
class IngressPipe;
}  // namespace pb::state

// The reading end of a FIFO: reads chunks and passes them to a feed, as long as
// the valve is open and the round's budget lasts. What the feed leaves goes to
// the front of the next read (RestBuffer).
//
// A pipe with an open gate is watched level-triggered. Then a read that would
// only find the pipe empty can be left out: a quarter of the system calls that
// a lone message costs. A paused pipe is watched for edges, as a gated pipe
// always is: neither what waits in it nor a hang-up wakes the worker for ever.
//
// Invariants:
// 1. A read follows only when no pause is owed.
// 2. A pipe whose reading stops before it was seen empty is reported by its
//    level, or has asked for another turn, or is paused, or rests at its gate.
// 3. The bytes of its RestBuffer are charged to HalfReceived.
//
// Worker-affine, but for Pause, Resume and Nudge, which any thread may call.
// Always held by shared_ptr: a queue may still hold the valve when the pipe is
// closed.
class IngressPipe : public Valve,
                    public Pollable,
                    public std::enable_shared_from_this<IngressPipe> {
 public:
  enum class Gate {
    kOpen,
    kAsksFeed,  // Feed::Admit is asked before each read
  };

  // `feed`, `half_received` and `growth` must live until the pipe is closed.
  // Without `growth` (null) the pipe keeps its size. `on_closed` runs once, on
  // the worker's thread, when the pipe has closed itself or was closed. The
  // first turn is asked for at once.
  static absl::StatusOr<std::shared_ptr<IngressPipe>> Open(
      Worker& worker, UniqueFd fd, Gate gate, Feed& feed,
      HalfReceived& half_received, PipeGrowth* growth,
      const BrokerOptions& options, std::function<void()> on_closed);
  ~IngressPipe() override;

  void Pause() override;
  void Resume() override;

  // The gate may open now. Any thread.
  void Nudge();

  // Reads what is in the pipe, as far as the valve allows, and closes the pipe
  // when that is empty, even if it still has a writer.
  void FinishAndClose();

  void Close();
  bool closed() const { return !fd_.valid(); }

  // What was written and not taken by the feed; 0 once it is closed.
  size_t unread_bytes() const;
  // Of that, what was read.
  size_t rest_bytes() const { return rest_.bytes(); }
  // See fifo.h. REQUIRES: !closed().
  bool HasWriter() const;

  // What an upgrade takes over. REQUIRES: !closed().
  pb::state::IngressPipe Export(StateChunks& chunks) const;
  // Before the first turn of a pipe of the same descriptor.
  void Restore(const pb::state::IngressPipe& state, const StateChunks& chunks);

  void OnEvents(uint32_t events) override;
  void OnTurn() override;

 private:
  enum class Step {
    kRead,   // go on
    kEmpty,  // wait for an event
    kClosed,
  };

  IngressPipe(Worker& worker, UniqueFd fd, Gate gate, Feed& feed,
              HalfReceived& half_received, PipeGrowth* growth,
              const BrokerOptions& options, std::function<void()> on_closed);

  void PostTurn();
  bool MayRead();
  void TellIfWritersLeft();
  // Has the level reported, or edges only.
  void Watch(EventLoop::Trigger trigger);
  Step ReadOnce(size_t& budget);
  // Reads on behind the chunk's `bytes` while writes are small and quick.
  // Returns how the last read ended.
  ReadOutcome Gather(const ChunkRef& chunk, size_t& bytes);
  // Whether a read of so many bytes has probably left the pipe empty.
  bool ProbablyEmpty(size_t bytes_read);
  Step OnNothingRead(ReadOutcome outcome);
  Step HangUp();
  Step Pass(const ChunkRef& chunk, size_t bytes);
  // A chunk with the rest at its front and room behind it.
  ChunkRef ChunkForReading();
  // How much of it may be read into.
  size_t RoomForReading(const Chunk& chunk) const;
  void ForgetRest();

  Worker& worker_;
  UniqueFd fd_;
  const Gate gate_;
  Feed& feed_;
  HalfReceived& half_received_;
  const size_t round_bytes_max_;
  GrowingPipe growing_;
  const size_t crowded_chunk_bytes_;
  std::function<void()> on_closed_;
  EventLoop::Registration registration_;
  // Not if the gate asks the feed, nor once all writers have left.
  bool by_level_;
  EventLoop::Trigger trigger_;
  bool finishing_ = false;
  // Above 0 while reads find that the publisher has written again meanwhile.
  int gathering_ = 0;
  unsigned lone_reads_ = 0;

  RestBuffer rest_;
  std::atomic<int> pauses_{0};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_INGRESS_PIPE_H_
