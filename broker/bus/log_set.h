#ifndef FIFOBUS_BROKER_BUS_LOG_SET_H_
#define FIFOBUS_BROKER_BUS_LOG_SET_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/logs/served_log.h"
#include "broker/options.h"
#include "broker/rules/log_rule.h"

namespace fifobus {

// The logs of a broker: opens each in its folder below the state directory, and
// makes the table of them. A log that was opened stays open until the end.
//
// Thread-compatible.
class LogSet {
 public:
  // `options` must outlive it; for the rest see ServedLog::Open.
  LogSet(const BrokerOptions& options, size_t workers,
         ServedLog::PostToWorker post);

  // Opens the logs that are not open yet, and changes the rules of the others.
  // One that is not named any more takes nothing and loses nothing. If a rule is
  // bad or a log cannot be opened, this fails with a text that says what to do,
  // and nothing else changes.
  absl::Status SetRules(const std::vector<LogRule>& rules);

  // Holds the readers of all logs, which is not undone by a failure, and waits
  // until all that was appended is in the files. Nobody may append meanwhile.
  // Fails, and says which log it is, if that takes longer than `patience`.
  absl::Status Hold(absl::Duration patience);
  bool IsWritten() const;
  void ReleaseReaders();

  // Closes all logs: see ServedLog.
  void Close();

  // What an upgrade takes over of each log beside its files. A log that the
  // rules do not name any more is not restored.
  std::vector<pb::state::ServedLog> Export() const;
  void Restore(const pb::state::ServedLog& state);

  // By the rules that were set last.
  LogTable table() const { return LogTable(entries_); }

 private:
  absl::StatusOr<std::shared_ptr<ServedLog>> Open(const LogRule& rule);
  void LayAside(ServedLog& log) const;
  std::shared_ptr<ServedLog> FindOpen(const std::string& name) const;

  const BrokerOptions& options_;
  const size_t workers_;
  const ServedLog::PostToWorker post_;
  std::vector<std::shared_ptr<ServedLog>> open_;
  std::vector<LogTable::Entry> entries_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_LOG_SET_H_
