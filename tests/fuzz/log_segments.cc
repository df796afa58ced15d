// A log's files are changed as no disk should: the log that is recovered from
// them has no message that was not written, none at another offset, and none
// twice.

#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "broker/base/log.h"
#include "broker/core/logs/durable_log.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"
#include "tests/support/log_model.h"
#include "tests/support/simulated_disk.h"

namespace fifobus::fuzz {
namespace {

// A log, and what was written to it.
class WrittenLog {
 public:
  WrittenLog() {
    StartLog(LogLevel::kOff);
    rule_.name = "test";
  }

  bool Open() {
    log_.reset();
    machine_.Kill();
    log_ = DurableLog::Open(machine_.Mount(), rule_, options_, observer_).log;
    return log_ != nullptr;
  }

  void Write(Input& input) {
    options_.log_segment_bytes = 4097 + input.Byte() * 16;
    for (size_t left = 1 + input.Byte() % 8; left > 0; --left) Append(input);
    (void)log_->Cover();
  }

  // Flips bits, writes over, cuts, appends, and swaps files.
  void Spoil(Input& input) {
    const auto files = machine_.files();
    if (files.empty()) return;
    const auto file = std::next(
        files.begin(), static_cast<ptrdiff_t>(input.Byte() % files.size()));
    std::string bytes = file->second;
    const size_t at = bytes.empty() ? 0 : input.Number(bytes.size() - 1);
    switch (input.Byte() % 6) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<char>(1 | input.Byte());
        break;
      case 1:
        bytes.resize(at);
        break;
      case 2:
        bytes.replace(at, 255, input.Text());
        break;
      case 3:
        bytes += bytes.substr(at);
        break;
      case 4:
        return machine_.Forget(file->first);
      default:
        bytes = std::next(files.begin(),
                          static_cast<ptrdiff_t>(input.Byte() % files.size()))
                    ->second;
    }
    machine_.Put(file->first, bytes);
  }

  // All that can be read was written there. `next` is behind the last one.
  void Check() const {
    uint64_t next = log_->first_offset();
    for (int turn = 0; turn < 1000; ++turn) {
      const LogReadResult read = log_->Read(next, 4096);
      if (read.outcome == LogReadOutcome::kEnd) return;
      if (read.outcome == LogReadOutcome::kFailed) return;
      Require(read.next_offset > next, "reading goes on");
      for (const LogExtent& extent : read.extents) {
        Require(extent.count == 1 && extent.first_offset >= next,
                "no message comes twice");
        const auto written = written_.find(extent.first_offset);
        Require(written != written_.end() && written->second == BodyOf(extent),
                "each message was written at this offset");
      }
      next = read.next_offset;
    }
    Require(false, "reading ends");
  }

  // The log takes messages again, behind all that it has.
  void GoOn(Input& input) {
    const uint64_t next = log_->next_offset();
    written_.erase(written_.lower_bound(next), written_.end());
    Append(input);
  }

 private:
  void Append(Input& input) {
    std::string body(8 + input.Byte(), static_cast<char>(written_.size()));
    body += std::to_string(++bodies_);
    LogAppend append{"", 0, 0, 1, static_cast<uint32_t>(body.size()), 1000};
    const AppendResult result =
        log_->Append(append, [&](const DurableLog::Placement&, char* out) {
          body.copy(out, body.size());
        });
    if (result.outcome != AppendOutcome::kAppended) return;
    Require(written_.emplace(result.base_offset, body).second,
            "no offset is given twice");
    (void)log_->Commit(LogWriter::SyncWhen::kNow);
  }

  SimulatedMachine machine_{1};
  BrokerOptions options_;
  LogRule rule_;
  LogObserver observer_;
  std::unique_ptr<DurableLog> log_;
  std::map<uint64_t, std::string> written_;
  uint64_t bodies_ = 0;
};

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus::fuzz;  // NOLINT
  Input input(data, size);
  WrittenLog log;
  Require(log.Open(), "a new log opens");
  log.Write(input);
  log.Check();
  for (int round = 0; round < 3 && !input.empty(); ++round) {
    for (size_t left = 1 + input.Byte() % 3; left > 0; --left) {
      log.Spoil(input);
    }
    // It may be so damaged that it does not open.
    if (!log.Open()) return 0;
    log.Check();
    log.GoOn(input);
    log.Check();
  }
  return 0;
}
