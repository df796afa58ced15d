// The same bytes into many pipes: a write for each, or one into the staging
// pipe and a tee for each. From this comes BrokerOptions::staged_bytes_min and
// staged_subscribers_min. The pipes are emptied outside of the time.
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "broker/io/fifo.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/staging_pipe.h"
#include "broker/options.h"

namespace fifobus {
namespace {

constexpr size_t kPipeBytes = size_t{256} << 10;

class Pipes {
 public:
  explicit Pipes(int64_t count) : nowhere_(open("/dev/null", O_WRONLY)) {
    for (int64_t i = 0; i < count; ++i) {
      int ends[2] = {-1, -1};
      if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return;
      reading_.emplace_back(ends[0]);
      writing_.emplace_back(ends[1]);
      TrySetPipeBytes(ends[1], kPipeBytes);
    }
  }

  const std::vector<UniqueFd>& writing() const { return writing_; }

  void Empty() {
    for (const UniqueFd& fd : reading_) {
      while (splice(fd.get(), nullptr, nowhere_.get(), nullptr, kPipeBytes,
                    SPLICE_F_NONBLOCK) > 0) {
      }
    }
  }

 private:
  const UniqueFd nowhere_;
  std::vector<UniqueFd> reading_;
  std::vector<UniqueFd> writing_;
};

void Arguments(benchmark::internal::Benchmark* benchmark) {
  for (const int64_t bytes : {64, 1024, 4096, 16384, 65536}) {
    for (const int64_t subscribers : {1, 2, 4, 10, 100}) {
      benchmark->Args({bytes, subscribers});
    }
  }
}

void Report(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}

void BM_WriteEach(benchmark::State& state) {
  Pipes pipes(state.range(1));
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  const Slice slice = {bytes.data(), bytes.size()};
  for (auto _ : state) {
    for (const UniqueFd& fd : pipes.writing()) {
      if (WriteFifo(fd.get(), {&slice, 1}).outcome != SinkOutcome::kAll) {
        state.SkipWithError("a pipe is full");
      }
    }
    state.PauseTiming();
    pipes.Empty();
    state.ResumeTiming();
  }
  Report(state);
}
BENCHMARK(BM_WriteEach)->Apply(Arguments);

void BM_TeeEach(benchmark::State& state) {
  Pipes pipes(state.range(1));
  PipeGrowth growth(BrokerOptions(), size_t{32} << 20);
  const auto staging = StagingPipe::Create(&growth);
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  const Slice slice = {bytes.data(), bytes.size()};
  // It grows when it is too small.
  (void)(*staging)->Load({&slice, 1});
  (*staging)->Unload();
  for (auto _ : state) {
    const Staged* staged = (*staging)->Load({&slice, 1});
    for (const UniqueFd& fd : pipes.writing()) {
      if (WriteStaged(*staged, fd.get(), {&slice, 1}).outcome !=
          SinkOutcome::kAll) {
        state.SkipWithError("a pipe is full");
      }
    }
    (*staging)->Unload();
    state.PauseTiming();
    pipes.Empty();
    state.ResumeTiming();
  }
  Report(state);
}
BENCHMARK(BM_TeeEach)->Apply(Arguments);

}  // namespace
}  // namespace fifobus
