#include "broker/core/sessions/log_stats.h"

#include "broker/core/logs/durable_reader.h"
#include "broker/core/sessions/reader_stats.h"

namespace fifobus {
namespace {

void AddReader(const DurableReader& reader, pb::StatsReply::Log& log) {
  pb::StatsReply::Reader& stats = *log.add_readers();
  stats = DescribeReader(reader.record(), log.first_offset(),
                         log.committed_offset() + 1);
  for (const uint64_t session : reader.sessions()) stats.add_sessions(session);
  stats.set_tap(reader.used_by_tap());
}

}  // namespace

pb::StatsReply::Log DescribeLog(const std::string& pattern,
                                const ServedLog& served) {
  const DurableLog& log = served.log();
  pb::StatsReply::Log stats;
  stats.set_name(served.name());
  stats.set_pattern(pattern);
  const LogView view = log.view();
  uint64_t bytes = 0;
  for (const auto& segment : *view.segments) bytes += segment->end_position();
  stats.set_bytes(bytes);
  stats.set_segments(static_cast<uint32_t>(view.segments->size()));
  stats.set_committed_offset(view.committed_offset);
  stats.set_next_offset(log.next_offset());
  stats.set_first_offset(view.committed_offset + 1);
  if (!view.segments->empty()) {
    Segment& first = *view.segments->front();
    stats.set_first_offset(first.base_offset());
    if (first.base_offset() <= view.committed_offset) {
      stats.set_first_time_unix_nanos(
          first.FirstEntry().stored_time_unix_nanos);
    }
  }
  stats.set_backlog_bytes(log.backlog_bytes());
  stats.set_holds_up(static_cast<uint32_t>(served.held_back()));
  stats.set_trouble(served.trouble());
  stats.set_appended(served.appended());
  stats.set_duplicates(served.duplicates());
  stats.set_replay_readers(served.replay_readers());
  for (const auto& reader : served.readers().List()) {
    AddReader(*reader, stats);
  }
  return stats;
}

void AppendLogStats(const LogTable& logs, pb::StatsReply& reply) {
  for (const LogTable::Entry& entry : logs.entries()) {
    *reply.add_logs() = DescribeLog(entry.pattern, *entry.log);
  }
}

}  // namespace fifobus
