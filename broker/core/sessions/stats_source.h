#ifndef FIFOBUS_BROKER_CORE_SESSIONS_STATS_SOURCE_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_STATS_SOURCE_H_

#include <string>

#include "proto/frame.pb.h"

namespace fifobus {

// Knows what a client's Stats is answered with. Thread-safe.
class StatsSource {
 public:
  virtual ~StatsSource() = default;
  virtual pb::StatsReply CollectStats() const = 0;
  // Only what is known of one topic, which is valid.
  virtual pb::StatsReply CollectTopic(const std::string& topic) const = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_STATS_SOURCE_H_
