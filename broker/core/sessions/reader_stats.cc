#include "broker/core/sessions/reader_stats.h"

#include "broker/core/logs/reader_lag.h"

namespace fifobus {

pb::StatsReply::Reader DescribeReader(const ReaderRecord& record,
                                      uint64_t first_offset,
                                      uint64_t next_offset) {
  pb::StatsReply::Reader stats;
  stats.set_name(record.name);
  stats.set_pattern(record.pattern);
  stats.set_group(record.group);
  stats.set_position(record.position);
  stats.set_done_above(record.done_above.count());
  stats.set_lag(ReaderLag(record, first_offset, next_offset));
  return stats;
}

}  // namespace fifobus
