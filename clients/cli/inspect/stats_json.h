#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_

#include <string_view>

#include "nlohmann/json.hpp"
#include "proto/frame.pb.h"

// StatsReply as JSON, which `ls --json` and `info --json` print. Fields have
// the names that they have in frame.proto, and keep their meaning. New fields
// may be added.
namespace fifobus::cli {

using Json = nlohmann::ordered_json;

// "drop-oldest", as the options have it.
std::string_view OverflowText(pb::Overflow overflow);

Json TopicJson(const pb::StatsReply::Topic& topic);
Json SessionJson(const pb::StatsReply::Session& session);
Json TapJson(const pb::StatsReply::Tap& tap);
Json GroupJson(const pb::StatsReply::Group& group);
Json StatsJson(const pb::StatsReply& stats);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_STATS_JSON_H_
