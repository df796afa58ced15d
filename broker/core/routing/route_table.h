#ifndef FIFOBUS_BROKER_CORE_ROUTING_ROUTE_TABLE_H_
#define FIFOBUS_BROKER_CORE_ROUTING_ROUTE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/node_hash_map.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/core/routing/topic_stats.h"
#include "broker/options.h"
#include "broker/rules/topic_rules.h"
#include "proto/topic.h"

namespace fifobus {

// Where messages of one topic go, by one snapshot of subscriptions, and what the
// rules say of the topic. Thread-compatible (plain data).
struct Route {
  uint64_t generation = 0;  // of the snapshot
  SubscriptionSnapshot::Egresses targets;
  bool has_taps = false;  // a target wants text or JSON
  size_t history = 0;
  bool may_retain = true;
  // The users that may publish; null: all. Lives as long as the snapshot.
  const Principals* allowed = nullptr;
  // The log that stores the topic; null: none. Lives as long as the broker.
  ServedLog* log = nullptr;
  // The targets by kind.
  uint32_t sessions = 0;
  uint32_t taps = 0;
  std::shared_ptr<TopicCount> count;
};

// The routes of topics that one worker has met lately, so that a topic is
// matched against all subscriptions only when it is new or they have changed.
// Bounded in topics and in targets: above that it forgets all and begins anew.
// Topics of replies are used once and not remembered.
//
// Worker-affine; owned by a Router.
class RouteTable {
 public:
  // All must live as long as this. Without a store, so `keeps_history` false,
  // no topic has a history.
  RouteTable(const BrokerOptions& options, TopicStats& stats,
             bool keeps_history)
      : options_(options), stats_(stats), keeps_history_(keeps_history) {}

  // The route by this snapshot, or why nothing may be published on the topic.
  // Valid until the next call.
  struct Found {
    Route* route = nullptr;
    TopicFault fault = TopicFault::kNone;
  };
  [[nodiscard]] Found Find(std::string_view topic,
                           const SubscriptionSnapshot& snapshot);

 private:
  void Resolve(std::string_view topic, const SubscriptionSnapshot& snapshot,
               SubscriptionSnapshot::Egresses targets, Route& route) const;

  const BrokerOptions& options_;
  TopicStats& stats_;
  const bool keeps_history_;
  absl::node_hash_map<std::string, Route> routes_;
  size_t targets_ = 0;  // of all routes
  Route reply_route_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_ROUTE_TABLE_H_
