#ifndef FIFOBUS_BROKER_CORE_GROUPS_LOG_GROUP_SOURCE_H_
#define FIFOBUS_BROKER_CORE_GROUPS_LOG_GROUP_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/groups/group_host.h"
#include "broker/core/groups/group_source.h"
#include "broker/core/logs/durable_reader.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/logs/log_watch.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/readers/log_cursor.h"
#include "broker/core/readers/log_target.h"
#include "broker/options.h"
#include "broker/seam/sink.h"
#include "broker/state/group_state.pb.h"

namespace fifobus {

// Reads a log for a group, from where its durable reader stands, on the worker
// of the group's host. It settles what the group says, and by itself what the
// group is never given: messages that the pattern does not match, and those
// that are missing, of which a member is told by a Gap.
//
// Thread-safe; what is private is for the host's worker.
class LogGroupSource : public GroupSource,
                       private LogTarget,
                       private LogWaiter,
                       public std::enable_shared_from_this<LogGroupSource> {
 public:
  // `pattern` is empty if the group reads all of the log. `options` and `host`
  // must outlive it.
  static std::shared_ptr<LogGroupSource> Make(
      const BrokerOptions& options, GroupHost& host,
      std::shared_ptr<ServedLog> log, std::string pattern,
      std::shared_ptr<DurableReader> reader);
  // One that goes on where another broker's stood, of a group with this key.
  // Null: the broker serves no such log any more, or that has no such reader.
  static std::shared_ptr<LogGroupSource> Restore(
      const BrokerOptions& options, GroupHost& host, const LogTable& logs,
      const pb::state::GroupKey& key, const pb::state::LogGroupSource& state);

  void Begin(std::shared_ptr<Egress> egress) override;
  void End() override;
  void Settle(absl::Span<const uint64_t> offsets) override;
  void OnRoom() override;
  pb::state::LogGroupSource Export() const override;

 private:
  LogGroupSource(const BrokerOptions& options, GroupHost& host,
                 std::shared_ptr<ServedLog> log, std::string pattern,
                 std::shared_ptr<DurableReader> reader);

  void BeginHere(std::shared_ptr<Egress> egress);
  void EndHere();
  void Go();
  // Settles what lies before the offset and was not given to the group.
  void PassTo(uint64_t offset);

  size_t Offer(absl::Span<const Slice> slices) override;
  void OnLogProgress() override { Go(); }

  const BrokerOptions& options_;
  GroupHost& host_;
  const std::shared_ptr<ServedLog> log_;
  const std::string pattern_;
  const std::shared_ptr<DurableReader> reader_;
  std::atomic<bool> room_posted_{false};
  std::atomic<bool> ended_{false};

  // Of the host's worker.
  std::shared_ptr<Egress> egress_;  // null: not begun, or at the end
  std::optional<pb::state::LogGroupSource> restored_;  // until it begins
  std::optional<LogCursor> cursor_;
  uint64_t next_ = 0;  // all below was given to the group or passed
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_LOG_GROUP_SOURCE_H_
