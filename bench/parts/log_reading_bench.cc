// Reading a log from the page cache into pipes: a cursor of the broker, beside a
// bare splice(2) from the file. The argument is the number of readers, each a
// thread that reads its pipe. Bytes are those of all readers.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmark/benchmark.h"
#include "broker/base/check.h"
#include "broker/base/log.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/readers/log_cursor.h"
#include "broker/io/fifo.h"
#include "broker/io/file_splice.h"
#include "broker/io/posix_disk.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

constexpr size_t kLogBytes = size_t{64} << 20;
constexpr size_t kPipeBytes = size_t{512} << 10;
constexpr size_t kReadBytes = size_t{256} << 10;

std::string Folder() {
  const char* folder = getenv("FIFOBUS_LOG_BENCH_DIR");
  if (folder == nullptr) folder = getenv("TEST_TMPDIR");
  return std::string(folder == nullptr ? "/var/tmp" : folder) +
         "/fifobus-log-reading-" + std::to_string(getpid());
}

// A log of batches as one chunk of a publisher brings them.
class StoredLog {
 public:
  explicit StoredLog(size_t payload_bytes) {
    StartLog(LogLevel::kError);
    options_.log_backlog_bytes_max = kLogBytes;
    std::filesystem::remove_all(Folder());
    auto disk = PosixDisk::OpenFolder(Folder());
    FIFOBUS_CHECK(disk.ok());
    LogRule rule;
    rule.name = "bench";
    rule.pattern = "**";
    auto log = ServedLog::Open(
        *std::move(disk), rule, options_, /*workers=*/1,
        [](size_t, absl::Duration, const std::function<void()>&) {});
    FIFOBUS_CHECK(log.ok());
    log_ = *std::move(log);
    const std::string payload(payload_bytes, 'x');
    MessageFields fields;
    fields.topic = "orders/new";
    fields.payload = payload;
    AppendMessageFrame(fields, frame_);
    while (bytes_ < kLogBytes) Append();
    while (log_->committed_offset() + 1 < log_->log().next_offset()) {
      usleep(1000);
    }
  }
  ~StoredLog() {
    log_.reset();
    std::filesystem::remove_all(Folder());
  }

  const std::shared_ptr<ServedLog>& log() const { return log_; }
  const BrokerOptions& options() const { return options_; }
  size_t bytes() const { return bytes_; }

 private:
  void Append() {
    const size_t unit = kStoredDeliveryBytes + frame_.size();
    LogAppend batch;
    batch.count = static_cast<uint32_t>((size_t{256} << 10) / unit + 1);
    batch.body_bytes = static_cast<uint32_t>(batch.count * unit);
    (void)log_->log().Append(
        batch, [&](const DurableLog::Placement& place, char* out) {
          for (uint32_t i = 0; i < batch.count; ++i, out += unit) {
            WriteStoredDelivery(place.base_offset + i, 1, out);
            frame_.copy(out + kStoredDeliveryBytes, frame_.size());
          }
        });
    bytes_ += batch.body_bytes;
  }

  BrokerOptions options_;
  std::shared_ptr<ServedLog> log_;
  std::string frame_;
  size_t bytes_ = 0;
};

// A pipe and the thread that reads it.
class ReadPipe {
 public:
  ReadPipe() {
    int ends[2];
    FIFOBUS_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    (void)fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    write_fd_ = ends[1];
    thread_ = std::thread([fd = ends[0]] {
      std::vector<char> bytes(kReadBytes);
      while (read(fd, bytes.data(), bytes.size()) > 0) {
      }
      close(fd);
    });
  }
  ~ReadPipe() {
    close(write_fd_);
    thread_.join();
  }
  int write_fd() const { return write_fd_; }

 private:
  int write_fd_ = -1;
  std::thread thread_;
};

class PipeSink : public Sink {
 public:
  explicit PipeSink(int fd) : fd_(fd) {}
  SinkResult Write(absl::Span<const Slice> slices, const Staged*) override {
    return WriteFifo(fd_, slices);
  }
  SinkResult WriteStored(absl::Span<const Slice> slices,
                         const StoredSlices& stored) override {
    return SpliceFromFile(stored, fd_, slices);
  }
  void StartStallClock() override {}
  void RequestEnd() override {}

 private:
  const int fd_;
};

struct Reader {
  Reader(uint32_t id, const StoredLog& stored, const std::string& pattern,
         Counters& counters)
      : egress(std::make_shared<Egress>(
            id, EgressFormat::kFrames, stored.options(),
            std::make_shared<PipeSink>(pipe.write_fd()), counters)),
        target(egress),
        cursor(stored.log(), 0, stored.options(), target, {pattern, 1}) {}

  ReadPipe pipe;
  std::shared_ptr<Egress> egress;
  EgressTarget target;
  LogCursor cursor;
  LogTurn turn = LogTurn::kMore;
};

void ReadAll(std::vector<std::unique_ptr<Reader>>& readers) {
  std::vector<pollfd> waiting;
  std::vector<Reader*> of;
  for (size_t ended = 0; ended < readers.size();) {
    ended = 0;
    waiting.clear();
    of.clear();
    bool goes_on = false;
    for (const auto& reader : readers) {
      if (reader->turn == LogTurn::kMore) reader->turn = reader->cursor.Go();
      goes_on = goes_on || reader->turn == LogTurn::kMore;
      ended += reader->turn == LogTurn::kEnd ? 1 : 0;
      if (reader->turn != LogTurn::kNoRoom) continue;
      waiting.push_back({reader->pipe.write_fd(), POLLOUT, 0});
      of.push_back(reader.get());
    }
    if (waiting.empty()) continue;
    (void)poll(waiting.data(), waiting.size(), goes_on ? 0 : -1);
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      of[i]->egress->OnWritable();
      of[i]->turn = LogTurn::kMore;
    }
  }
}

void Read(benchmark::State& state, const std::string& pattern) {
  const StoredLog stored(static_cast<size_t>(state.range(1)));
  Counters counters;
  for (auto _ : state) {
    std::vector<std::unique_ptr<Reader>> readers;
    for (uint32_t i = 0; i < state.range(0); ++i) {
      readers.push_back(std::make_unique<Reader>(i, stored, pattern, counters));
    }
    ReadAll(readers);
  }
  state.SetBytesProcessed(static_cast<int64_t>(stored.bytes()) *
                          state.iterations() * state.range(0));
}

void BM_Cursor(benchmark::State& state) { Read(state, ""); }
void BM_CursorWithAPattern(benchmark::State& state) { Read(state, "orders/*"); }

void BM_Splice(benchmark::State& state) {
  const StoredLog stored(static_cast<size_t>(state.range(1)));
  std::string file;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.path().extension() == ".seg") file = entry.path().string();
  }
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const auto size = static_cast<loff_t>(std::filesystem::file_size(file));
  for (auto _ : state) {
    std::vector<std::unique_ptr<ReadPipe>> pipes;
    std::vector<loff_t> at(static_cast<size_t>(state.range(0)), 0);
    for (size_t i = 0; i < at.size(); ++i) {
      pipes.push_back(std::make_unique<ReadPipe>());
    }
    for (size_t left = at.size(); left > 0;) {
      left = 0;
      std::vector<pollfd> waiting;
      for (size_t i = 0; i < at.size(); ++i) {
        const int out = pipes[i]->write_fd();
        while (at[i] < size && splice(fd, &at[i], out, nullptr, kReadBytes,
                                      SPLICE_F_NONBLOCK) > 0) {
        }
        if (at[i] < size) waiting.push_back({out, POLLOUT, 0});
        left += at[i] < size ? 1 : 0;
      }
      if (left > 0) (void)poll(waiting.data(), waiting.size(), -1);
    }
  }
  close(fd);
  state.SetBytesProcessed(static_cast<int64_t>(size) * state.iterations() *
                          state.range(0));
}

void Arguments(benchmark::internal::Benchmark* bench) {
  for (const int readers : {1, 10}) {
    for (const int payload : {200, 4096}) bench->Args({readers, payload});
  }
  bench->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(BM_Splice)->Apply(Arguments);
BENCHMARK(BM_Cursor)->Apply(Arguments);
BENCHMARK(BM_CursorWithAPattern)->Apply(Arguments);

}  // namespace
}  // namespace fifobus
