#ifndef FIFOBUS_BROKER_BUS_SYS_STATS_H_
#define FIFOBUS_BROKER_BUS_SYS_STATS_H_

#include <optional>

#include "absl/time/time.h"
#include "broker/bus/bus_parts.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/io/worker.h"

namespace fifobus {

// Publishes the broker's counters on $sys/stats: at once when a subscriber has
// come, and then every sys_stats_interval as long as there is one. Without a
// subscriber there is no timer, so that an idle broker sleeps.
//
// Worker-affine. Owned by the Broker, which calls Stop before the loop ends.
class SysStats {
 public:
  SysStats(BusParts& parts, Worker& worker);

  // A subscription to any pattern was added.
  void OnSubscribed();
  void Stop();

  // For an upgrade: when the next message is due, by the monotonic clock; nothing
  // while there is no subscriber. Restored, those that subscribe now are taken
  // for known.
  std::optional<absl::Duration> next() const;
  void Restore(absl::Duration next);

 private:
  void Tick();
  void Publish();

  BusParts& parts_;
  Worker& worker_;
  // The subscribers that have got a message already.
  SubscriptionSnapshot::Egresses subscribers_;
  std::optional<EventLoop::TimerId> timer_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_SYS_STATS_H_
