#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace fifobus::pb {
class StatsReply;
}  // namespace fifobus::pb

// StatsReply as JSON, which `ls --json` and `info --json` print. Fields have
// the names that they have in frame.proto, and keep their meaning. New fields
// may be added. Thread-safe (no state).
namespace fifobus::cli {

// All of it, on one line. Counters are members by their names.
std::string StatsJson(const pb::StatsReply& stats);

// Rates by name, such as "messages_per_second".
using Rates = std::vector<std::pair<std::string_view, double>>;

// One topic, session, tap, group or log of it, and its rates behind its fields.
std::string PartJson(const google::protobuf::Message& part, const Rates& rates);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_
