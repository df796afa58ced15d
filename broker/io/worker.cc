#include "broker/io/worker.h"

#include <string>
#include <utility>

#include "broker/base/signals_blocked.h"

namespace fifobus {

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(
    int index, const BrokerOptions& options, const AdaptiveSpin& spin,
    PipeGrowth* growth) {
  auto loop = EventLoop::Create(spin);
  if (!loop.ok()) return loop.status();
  auto staging = StagingPipe::Create(growth);
  if (!staging.ok()) return staging.status();
  auto worker = std::unique_ptr<Worker>(
      new Worker(index, options, *std::move(loop), *std::move(staging)));
  const AllSignalsBlocked blocked;
  // The thread touches thread_ only through tasks, which are posted later.
  worker->thread_ = std::thread([loop = worker->loop_.get()] { loop->Run(); });
  pthread_setname_np(worker->thread_.native_handle(),
                     ("fifobus-" + std::to_string(index)).c_str());
  return worker;
}

Worker::Worker(int index, const BrokerOptions& options,
               std::unique_ptr<EventLoop> loop,
               std::unique_ptr<StagingPipe> staging)
    : index_(index),
      chunk_bytes_(options.chunk_bytes),
      loop_(std::move(loop)),
      staging_(std::move(staging)) {}

Worker::~Worker() {
  loop_->Stop();
  thread_.join();
}

void Worker::ReleaseIngresses() {
  ingresses_held_ = false;
  // Of those that are closed by now nothing is known any more.
  for (const EventLoop::Registration& ingress : std::exchange(held_turns_, {}))
    loop_->Ready(ingress);
}

const ChunkRef& Worker::ScratchChunk() {
  if (!scratch_.unique()) scratch_ = Chunk::Make(chunk_bytes_);
  return scratch_;
}

}  // namespace fifobus
