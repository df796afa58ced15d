#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_LOG_TEXT_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_LOG_TEXT_H_

#include <string>
#include <string_view>

#include "clients/cli/inspect/bus_view.h"
#include "proto/frame.pb.h"

// What `ls`, `info` and `why` show of logs and their durable readers. Each text
// ends with a newline, or is empty. Thread-safe (no state).
namespace fifobus::cli {

// The log that stores a topic's messages; null: none.
const pb::StatsReply::Log* LogOf(const pb::StatsReply& stats,
                                 std::string_view topic);

// The same log, or its reader of this name, in the answer before; an empty one
// if that had none.
const pb::StatsReply::Log& Before(const BusView& view,
                                  const pb::StatsReply::Log& log);
const pb::StatsReply::Reader& Before(const BusView& view,
                                     const pb::StatsReply::Log& log,
                                     const pb::StatsReply::Reader& reader);

// In a word or two: "stuck", "unread". Empty: all is well.
std::string LogState(const pb::StatsReply::Log& log);
std::string ReaderState(const pb::StatsReply::Reader& reader);

// A table of the logs, and one of their durable readers.
std::string LogTables(const pb::StatsReply& stats);

// All about one log.
std::string LogLines(const BusView& view, const pb::StatsReply::Log& log);

// Sentences about the log that stores a topic: what it has, why it stores
// nothing now, and where its durable readers of the topic are.
std::string LogSentences(const BusView& view, std::string_view topic);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_LOG_TEXT_H_
