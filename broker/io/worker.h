#ifndef FIFOBUS_BROKER_IO_WORKER_H_
#define FIFOBUS_BROKER_IO_WORKER_H_

#include <cstddef>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "broker/io/event_loop.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/staging_pipe.h"
#include "broker/options.h"
#include "broker/seam/chunk.h"

namespace fifobus {

// One thread of the broker with its loop, and the chunk that its ingresses read
// into. A pipe belongs to one worker for its life.
//
// Thread-safe: loop().Post, index. All else is for the worker's own thread.
class Worker {
 public:
  // The thread runs from now on. `growth` must live as long as this; null:
  // staging keeps the size that a pipe has.
  static absl::StatusOr<std::unique_ptr<Worker>> Start(
      int index, const BrokerOptions& options, const AdaptiveSpin& spin,
      PipeGrowth* growth);

  // Ends the thread after what is posted.
  ~Worker();

  EventLoop& loop() { return *loop_; }
  int index() const { return index_; }

  // True on this worker's thread.
  bool IsCurrent() const {
    return std::this_thread::get_id() == thread_.get_id();
  }

  // Where this worker stages what goes to many subscribers.
  Staging& staging() { return *staging_; }

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
  std::thread thread_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_WORKER_H_
