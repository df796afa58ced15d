#include "broker/io/worker.h"

#include <signal.h>

#include <string>
#include <utility>

namespace fifobus {
namespace {

// Threads inherit the signal mask of their maker. Workers take no signal:
// SIGPIPE is raised in the thread that writes (pipe(7)), where it stays pending
// for ever and write returns EPIPE; the process's settings need not change.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Start(
    int index, const BrokerOptions& options, absl::Duration busy_poll) {
  auto loop = EventLoop::Create(busy_poll);
  if (!loop.ok()) return loop.status();
  auto staging = StagingPipe::Create(options.large_pipe_bytes);
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

const ChunkRef& Worker::ScratchChunk() {
  if (!scratch_.unique()) scratch_ = Chunk::Make(chunk_bytes_);
  return scratch_;
}

}  // namespace fifobus
