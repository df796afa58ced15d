#ifndef FIFOBUS_BROKER_IO_WORKER_H_
#define FIFOBUS_BROKER_IO_WORKER_H_

#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/io/event_loop.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/staging_pipe.h"
#include "broker/options.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// One thread of the broker, with its loop and the chunk that its ingresses read
// into. A pipe belongs to one worker for its life.
//
// Worker-affine, but for loop().Post, index and IsCurrent, which are
// Thread-safe.
class Worker {
 public:
  // Starts the thread. `growth` must live as long as this; null: the staging
  // pipe keeps the size that it begins with.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(
      int index, const BrokerOptions& options, const AdaptiveSpin& spin,
      PipeGrowth* growth);

  // Runs what is posted, then ends the thread.
  ~Worker();

  EventLoop& loop() { return *loop_; }
  int index() const { return index_; }

  // True on this worker's thread.
  bool IsCurrent() const {
    return std::this_thread::get_id() == thread_.get_id();
  }

  // The pipe in which this worker stages what goes to many subscribers.
  Staging& staging() { return *staging_; }

  // From now on no ingress reads, until ReleaseIngresses.
  void HoldIngresses() { ingresses_held_ = true; }
  void ReleaseIngresses();
  // Whether the ingress is to read nothing now. It then gets a turn when they
  // are released.
  bool IsHeld(const EventLoop::Registration& ingress) {
    if (!ingresses_held_) [[likely]]
      return false;
    held_turns_.push_back(ingress);
    return true;
  }

  // A chunk of options.chunk_bytes without any other reference. It is the same
  // as before unless a queue has kept that.
  const ChunkRef& ScratchChunk();

 private:
  Worker(int index, const BrokerOptions& options,
         std::unique_ptr<EventLoop> loop, std::unique_ptr<StagingPipe> staging);

  const int index_;
  const size_t chunk_bytes_;
  const std::unique_ptr<EventLoop> loop_;
  const std::unique_ptr<StagingPipe> staging_;
  ChunkRef scratch_;
  bool ingresses_held_ = false;
  std::vector<EventLoop::Registration> held_turns_;
  std::thread thread_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_WORKER_H_
