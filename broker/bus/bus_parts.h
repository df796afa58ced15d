#ifndef FIFOBUS_BROKER_BUS_BUS_PARTS_H_
#define FIFOBUS_BROKER_BUS_BUS_PARTS_H_

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/delivery/id_pool.h"
#include "broker/core/groups/group_host.h"
#include "broker/core/groups/group_table.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/router.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/core/routing/topic_stats.h"
#include "broker/core/sessions/publisher_claims.h"
#include "broker/core/sessions/session.h"
#include "broker/counters.h"
#include "broker/io/bus_directory.h"
#include "broker/io/half_received.h"
#include "broker/io/pipe_allowance.h"
#include "broker/io/pipe_growth.h"
#include "broker/io/worker.h"
#include "broker/options.h"

namespace fifobus {

// What all sessions and taps of one broker share. Owned by the Broker, which
// outlives them. Plain data, so that no part needs to know the Broker itself.
//
// Each part is Thread-safe, but for the routers: each is its worker's.
struct BusParts {
  explicit BusParts(const BrokerOptions& broker_options)
      : options(broker_options),
        topic_stats(options.topic_stats_max),
        retained(options, counters),
        half_received(options.half_received_bytes_max),
        pipe_growth(options, PipeAllowance(ReadPipeLimits(),
                                           options.grown_pipes_bytes_max)) {}

  const BrokerOptions options;
  Counters counters;
  SubscriptionTable table;
  TopicStats topic_stats;
  RetainedStore retained;
  IdPool egress_ids;
  PublisherClaims publishers;
  HalfReceived half_received;
  PipeGrowth pipe_growth;
  std::unique_ptr<BusDirectory> bus;
  // How often the broker has become another program. Set before any client is
  // served.
  uint64_t upgrades = 0;
  // Answers the clients' Stats.
  const StatsSource* stats = nullptr;
  // Called when a subscription was added: lines may wait for it.
  std::function<void()> on_subscribed;

  // Made when there are workers.
  std::unique_ptr<GroupHost> group_host;
  std::unique_ptr<GroupTable> groups;

  // One router per worker, at the worker's index. Workers are the last member,
  // so that their threads end before anything that they use.
  std::vector<std::unique_ptr<Router>> routers;
  std::vector<std::unique_ptr<Worker>> workers;

  Router& RouterOf(const Worker& worker) { return *routers[worker.index()]; }

  // Calls visit(name, value) for all counters and for what is counted
  // elsewhere.
  template <typename Visitor>
  void ForEachCounter(const Visitor& visit) const {
    counters.ForEach(visit);
    visit("topics_retained", retained.topics());
    visit("log_lines_dropped", LogLinesDropped());
    visit("broker_restarts", options.restarts);
    visit("broker_upgrades", upgrades);
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_BUS_PARTS_H_
