#ifndef FIFOBUS_BROKER_CORE_SESSIONS_READER_STATS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_READER_STATS_H_

#include <cstdint>

#include "broker/core/logs/reader_file.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What a listing tells of a durable reader, as far as its record says it, in a
// log that has the messages from `first_offset` to below `next_offset`.
// Thread-safe (no state).
pb::StatsReply::Reader DescribeReader(const ReaderRecord& record,
                                      uint64_t first_offset,
                                      uint64_t next_offset);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_READER_STATS_H_
