#ifndef FIFOBUS_TESTS_SUPPORT_LOG_SIMULATION_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_SIMULATION_H_

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/logs/durable_log.h"
#include "fmt/format.h"
#include "tests/support/log_model.h"
#include "tests/support/simulated_disk.h"

namespace fifobus {

// A broker's log on a SimulatedMachine, and what happens to both in an order
// drawn from a seed. A LogModel says what must be there.
class LogSimulation {
 public:
  LogSimulation(uint32_t seed, bool tracing) : machine_(seed) {
    machine_.tracing = tracing;
    flips_ = seed % 4 == 3;
    options_.log_segment_bytes = size_t{4096} + 2000 + Draw(12000);
    options_.log_index_bytes = 500;
    options_.log_backlog_bytes_max = 20000;
    options_.log_torn_files_max = 3;
    rule_.name = "simulated";
    if (Draw(3) == 0) rule_.keep_messages = 1 + Draw(60);
    if (Draw(4) == 0) rule_.on_full = LogRule::OnFull::kDropOldest;
  }

  // Returns what went wrong; empty: nothing.
  std::string Run() {
    Reopen();
    for (int step = 0; step < kSteps && fault_.empty(); ++step) Step();
    return fault_;
  }

  // One more crash. Leaves the files in `folder`, as a reader of the format
  // gets them, and says what the log makes of them.
  std::string Dump(const std::string& folder) {
    Crash();
    std::filesystem::create_directories(folder);
    for (const auto& [name, bytes] : machine_.files()) {
      std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
    }
    QuietDisk();
    Open();
    return log_ ? LogText(*log_) : "refused\n";
  }

  const SimulatedMachine& machine() const { return machine_; }
  uint64_t confirmed() const { return confirmed_in_all_; }
  uint32_t crashes() const { return crashes_; }
  uint64_t missing() const { return missing_; }

 private:
  static constexpr int kSteps = 50;
  static constexpr uint64_t kBegin = 1'000'000;

  struct Confirmations : LogObserver {
    void OnCommitted(uint64_t offset) override { committed = offset; }
    uint64_t committed = 0;
  };

  uint32_t Draw(uint32_t bound) { return machine_.Draw(bound); }

  void Step() {
    switch (Draw(16)) {
      case 0:
        return Bother();
      case 1:
        return QuietDisk();
      case 2:
        machine_.Trace("CRASH");
        Crash();
        return Reopen();
      case 3:
        machine_.DieAfter(1 + Draw(12));
        return;
      case 4:
        if (flips_ && Draw(4) == 0) return Flip();
        return Cover();
      case 5:
        return Retain();
      case 6:
        return ReadSomewhere();
      case 7:
        return Repeat();
      default:
        for (uint32_t i = Draw(3); i > 0; --i) Append();
        return Commit();
    }
  }

  void Bother() {
    machine_.short_per_mille = Draw(2) * 300;
    machine_.failures_per_mille = Draw(3) == 0 ? Draw(60) : 0;
    machine_.sync_failures_per_mille = Draw(2) == 0 ? Draw(400) : 0;
    if (Draw(3) == 0) {
      machine_.capacity_bytes = machine_.used_bytes() + Draw(6000);
    }
  }

  void QuietDisk() {
    machine_.short_per_mille = 0;
    machine_.failures_per_mille = 0;
    machine_.sync_failures_per_mille = 0;
    machine_.capacity_bytes = UINT64_MAX;
  }

  std::string DrawBody() {
    std::string body(Draw(8) == 0 ? Draw(9000) : Draw(300), '\0');
    for (char& byte : body) byte = static_cast<char>(Draw(256));
    // A log within a message must not be taken for the log.
    const auto files = machine_.files();
    if (Draw(12) == 0 && !files.empty()) {
      body += std::string(body.size() % 8, 'x');
      body += files.rbegin()->second.substr(0, 9000);
    }
    return body;
  }

  void Append() {
    LogModel::Batch batch;
    batch.body = DrawBody();
    batch.count = 1 + Draw(3);
    if (Draw(2) == 0) batch.publisher = fmt::format("till-{}", Draw(3));
    LogAppend append;
    append.publisher = batch.publisher;
    append.count = batch.count;
    append.body_bytes = static_cast<uint32_t>(batch.body.size());
    append.now_unix_nanos = now_ += Draw(3);
    if (!batch.publisher.empty()) {
      append.first_sequence =
          model_.LastSequence(batch.publisher) + 1 + Draw(2);
      append.last_sequence = append.first_sequence + batch.count - 1;
      batch.last_sequence = append.last_sequence;
    }
    const AppendResult result = log_->Append(
        append, [&](const DurableLog::Placement& place, char* out) {
          batch.stored_time_unix_nanos = place.stored_time_unix_nanos;
          batch.body.copy(out, batch.body.size());
        });
    if (result.outcome == AppendOutcome::kFailed) return Reopen();
    Expect(result.outcome == AppendOutcome::kAppended, "append");
    batch.base_offset = result.base_offset;
    Expect(batch.base_offset == model_.next_offset(), "dense offsets");
    model_.batches.push_back(std::move(batch));
  }

  // What is stored already must be neither stored again nor forgotten.
  void Repeat() {
    const std::string publisher = fmt::format("till-{}", Draw(3));
    const uint64_t last = model_.LastSequence(publisher);
    if (last == 0 || damaged_) return;
    LogAppend append{publisher, last, last, 1, 0, now_};
    const AppendResult result =
        log_->Append(append, [](const DurableLog::Placement&, char*) {});
    if (result.outcome == AppendOutcome::kFailed) return Reopen();
    Expect(result.outcome == AppendOutcome::kRepeated, "repeat");
    Expect(result.mark.last_sequence == last, "the repeat's mark");
  }

  void Commit() {
    const auto when =
        Draw(6) == 0 ? LogWriter::SyncWhen::kLater : LogWriter::SyncWhen::kNow;
    Settle(log_->Commit(when));
  }

  void Cover() { Settle(log_->Cover()); }

  void Settle(LogOutcome outcome) {
    confirmed_in_all_ += observer_.committed > model_.confirmed_offset
                             ? observer_.committed - model_.confirmed_offset
                             : 0;
    model_.confirmed_offset =
        std::max(model_.confirmed_offset, observer_.committed);
    NoteRetention();
    if (outcome == LogOutcome::kFailed || machine_.dead()) {
      Crash();
      Reopen();
    }
  }

  void NoteRetention() {
    model_.first_offset = std::max(model_.first_offset, log_->first_offset());
  }

  void Retain() {
    log_->Retain(now_);
    NoteRetention();
  }

  void ReadSomewhere() {
    const uint64_t from = 1 + Draw(static_cast<uint32_t>(model_.next_offset()));
    const LogReadResult read = log_->Read(from, 1 + Draw(4000));
    for (const LogExtent& extent : read.extents) {
      const std::string body = BodyOf(extent);
      const LogModel::Batch* batch = model_.Find(extent.first_offset);
      Expect(batch != nullptr && extent.first_offset <= model_.confirmed_offset,
             "only what is on disk is read");
      if (batch == nullptr || machine_.failures_per_mille > 0) continue;
      if (!machine_.dead()) Expect(batch->body == body, "what is read");
    }
    if (read.outcome == LogReadOutcome::kExtents) {
      Expect(read.extents[0].first_offset <= from &&
                 from < read.extents[0].first_offset + read.extents[0].count,
             "the first extent holds what was asked for");
    } else if (read.outcome == LogReadOutcome::kDamaged) {
      Expect(damaged_, "damage without a flip");
    }
    if (!damaged_) FindSomeTime();
  }

  void FindSomeTime() {
    if (machine_.failures_per_mille > 0 || machine_.dead()) return;
    const uint64_t time =
        kBegin + Draw(static_cast<uint32_t>(now_ - kBegin) + 2);
    const auto found = log_->FindOffset(absl::FromUnixNanos(time));
    uint64_t expected = log_->committed_offset() + 1;
    for (const LogModel::Batch& batch : model_.batches) {
      if (batch.base_offset < log_->first_offset() ||
          batch.base_offset > log_->committed_offset()) {
        continue;
      }
      if (batch.stored_time_unix_nanos >= time) {
        expected = batch.base_offset;
        break;
      }
    }
    if (!found && machine_.dead()) return;
    Expect(found == expected, fmt::format("time {}: {} instead of {}", time,
                                          found.value_or(0), expected));
  }

  // One bit, in what is known to be on disk: covered twice, so that what says
  // so may be what is hit.
  void Flip() {
    QuietDisk();
    if (machine_.dead() || damaged_) return;
    const uint32_t crashes = crashes_;
    Settle(log_->Commit(LogWriter::SyncWhen::kNow));
    for (int i = 0; i < 2 && fault_.empty(); ++i) {
      Append();
      Settle(log_->Commit(LogWriter::SyncWhen::kNow));
    }
    Cover();
    if (machine_.dead() || crashes_ != crashes) return;
    model_.first_offset = log_->first_offset();
    std::vector<std::string> segments;
    for (const auto& [name, bytes] : machine_.files()) {
      if (name.ends_with(".seg")) segments.push_back(name);
    }
    const std::string name =
        segments[Draw(static_cast<uint32_t>(segments.size()))];
    const uint64_t bytes = machine_.files().at(name).size();
    // In the headers of batches as often as in bodies; seldom in the segment's.
    const uint64_t from = Draw(8) == 0 ? 0 : 4096;
    if (bytes <= from) return;
    damaged_ = true;
    machine_.FlipBit(
        name, (from + Draw(static_cast<uint32_t>(bytes - from))) * 8 + Draw(8));
    if (Draw(2) == 0) return CheckDamage();
    Crash();
    Reopen();
    if (fault_.empty()) CheckDamage();
  }

  void CheckDamage() {
    const CheckedLog checked = CheckLog(log_->view());
    Expect(!checked.failed || machine_.dead(), "check");
    for (const MissingRange& range : checked.missing) missing_ += range.count();
    Compare();
  }

  void Crash() {
    ++crashes_;
    log_.reset();
    if (Draw(2) == 0) {
      machine_.Kill();
    } else {
      machine_.CutPower();
    }
  }

  // As a broker would: again and again, on a disk that gets better.
  void Reopen() {
    log_.reset();
    machine_.Kill();
    for (int tries = 0; tries < 3 && !log_; ++tries) {
      if (Draw(3) == 0) machine_.DieAfter(1 + Draw(40));
      Open();
      if (!log_ || machine_.dead()) Crash();
    }
    if (!log_) {
      QuietDisk();
      Open();
    }
    if (!log_) {
      // A lone segment whose header is gone is refused and not guessed at. The
      // simulation then goes on with a log of its own.
      Expect(damaged_ && outcome_ == LogOutcome::kDamaged,
             fmt::format("not open: {}", reason_));
      for (const auto& [name, bytes] : machine_.files()) machine_.Forget(name);
      model_ = {};
      damaged_ = false;
      machine_.Kill();
      Open();
      Expect(log_ != nullptr, "a new log");
      return;
    }
    CheckRecovered();
  }

  void CheckRecovered() {
    model_.CutTo(log_->next_offset());
    Expect(model_.next_offset() == log_->next_offset(),
           fmt::format("goes on at {} instead of {}", log_->next_offset(),
                       model_.next_offset()));
    if (machine_.failures_per_mille > 0) return;
    Compare();
    if (damaged_ || !fault_.empty()) return;
    for (int i = 0; i < 3; ++i) {
      const std::string name = fmt::format("till-{}", i);
      const auto mark = log_->FindPublisher(name);
      const uint64_t expected = model_.LastSequence(name);
      Expect((mark ? mark->last_sequence : 0) == expected,
             fmt::format("{}: {} instead of {}", name,
                         mark ? mark->last_sequence : 0, expected));
    }
  }

  void Compare() {
    const std::string fault = model_.Compare(*log_, damaged_);
    if (!machine_.dead()) Expect(fault.empty(), fault);
  }

  void Open() {
    observer_.committed = 0;
    DurableLog::Opened opened =
        DurableLog::Open(machine_.Mount(), rule_, options_, observer_);
    outcome_ = opened.outcome;
    reason_ = opened.reason;
    log_ = std::move(opened.log);
    model_.confirmed_offset =
        std::max(model_.confirmed_offset, observer_.committed);
    if (log_ && rule_.on_full == LogRule::OnFull::kDropOldest) NoteRetention();
    if (!damaged_) {
      Expect(opened.missing.empty(), "recovery reports damage without a flip");
    }
  }

  void Expect(bool holds, const std::string& what) {
    if (!holds && fault_.empty()) fault_ = what;
  }

  SimulatedMachine machine_;
  BrokerOptions options_;
  LogRule rule_;
  Confirmations observer_;
  std::unique_ptr<DurableLog> log_;
  LogModel model_;
  bool flips_ = false;
  bool damaged_ = false;
  uint64_t now_ = kBegin;
  LogOutcome outcome_ = LogOutcome::kDone;
  std::string reason_;
  std::string fault_;
  uint64_t confirmed_in_all_ = 0;
  uint32_t crashes_ = 0;
  uint64_t missing_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_SIMULATION_H_
