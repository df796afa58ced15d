#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_RESTART_TEXT_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_RESTART_TEXT_H_

#include <string>

#include "proto/frame.pb.h"

// What `ls`, `info` and `why` show of brokers before this one. Thread-safe (no
// state).
namespace fifobus::cli {

// A table of one line: brokers that have died under the same keeper, upgrades,
// and messages that clients have published again.
std::string RestartTable(const pb::StatsReply& stats);

// The same in sentences, each a line. Empty: none of it happened.
std::string RestartSentences(const pb::StatsReply& stats);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_RESTART_TEXT_H_
