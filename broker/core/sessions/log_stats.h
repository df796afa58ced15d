#ifndef FIFOBUS_BROKER_CORE_SESSIONS_LOG_STATS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_LOG_STATS_H_

#include <string>

#include "broker/core/logs/log_table.h"
#include "broker/core/logs/served_log.h"
#include "proto/frame.pb.h"

// What the broker tells of its logs. Thread-safe (no state).
namespace fifobus {

// One log, which stores what `pattern` matches.
pb::StatsReply::Log DescribeLog(const std::string& pattern,
                                const ServedLog& log);

// All of them, in their order.
void AppendLogStats(const LogTable& logs, pb::StatsReply& reply);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_LOG_STATS_H_
