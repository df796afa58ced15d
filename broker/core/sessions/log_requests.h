#ifndef FIFOBUS_BROKER_CORE_SESSIONS_LOG_REQUESTS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_LOG_REQUESTS_H_

#include <cstdint>
#include <string>

#include "broker/core/logs/served_log.h"
#include "broker/core/routing/subscription_table.h"
#include "proto/frame.pb.h"

// What `fifobus log` asks of a broker that runs, and does by itself where none
// does. Thread-safe (no state).
namespace fifobus {

// Does what is asked of a log that stores what `pattern` matches; empty: it is
// not known. Returns a LogReply, or an Error.
pb::Frame AnswerLogRequest(const pb::LogRequest& request,
                           const std::string& pattern, ServedLog& log);

// The same for a session of this user. A reader belongs to those that may
// subscribe to its pattern; only the broker's user and root may trim.
pb::Frame AnswerLogRequest(const pb::LogRequest& request, uint32_t uid,
                           const SubscriptionSnapshot& snapshot);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_LOG_REQUESTS_H_
