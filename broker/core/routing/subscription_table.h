#ifndef FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIPTION_TABLE_H_
#define FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIPTION_TABLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/mutex.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/logs/log_table.h"
#include "broker/core/routing/persistent_map.h"
#include "broker/rules/topic_rules.h"

namespace fifobus {

// The subscribers of all topics at one moment, the topics' rules and their
// logs. A tree of levels in which literal levels, `*` and `**` are separate
// branches. A lookup visits only branches that match so far, so its cost does
// not depend on the number of other patterns. Immutable, hence Thread-safe.
class SubscriptionSnapshot {
 public:
  using Egresses = std::vector<std::shared_ptr<Egress>>;

  // Each egress that has at least one pattern matching the topic, once, in the
  // order of ids. REQUIRES: the topic is valid.
  Egresses Match(std::string_view topic) const;

  // Whether Match would name this egress; costs no more the more others there
  // are.
  bool Reaches(std::string_view topic, uint32_t egress_id) const;

  uint64_t generation() const { return generation_; }

  // What was settled by topic then. Lives as long as this.
  const TopicRules& rules() const { return *rules_; }
  const LogTable& logs() const { return *logs_; }

 private:
  friend class SubscriptionTable;

  using Subscribers = PersistentMap<uint32_t, std::shared_ptr<Egress>>;
  struct Node;
  using NodeRef = std::shared_ptr<const Node>;
  struct Node {
    PersistentMap<std::string, NodeRef> literal;
    NodeRef any;            // the pattern goes on with `*`
    Subscribers here;       // the pattern ends here
    Subscribers from_here;  // the pattern ends with `**` here

    bool empty() const;
  };

  uint64_t generation_ = 0;
  std::shared_ptr<const TopicRules> rules_;
  std::shared_ptr<const LogTable> logs_;
  NodeRef root_;
};

// The current snapshot, and how it changes. A change copies the nodes on its
// pattern's path and puts a new snapshot in place; readers keep theirs as long
// as they like. Thread-safe.
class SubscriptionTable {
 public:
  SubscriptionTable();

  // After this returns every snapshot that is fetched has the subscription.
  // Adding one that exists changes nothing. REQUIRES: the pattern is valid.
  void Add(std::string_view pattern, const std::shared_ptr<Egress>& egress);

  // Removes what was added; nothing if it was not. Returns the generation of the
  // first snapshot without it.
  uint64_t Remove(std::string_view pattern, uint32_t egress_id);

  // Puts other rules in the place of those that all snapshots had so far.
  // Subscribers stay subscribed.
  void SetRules(TopicRules rules);
  // The same for the logs.
  void SetLogs(LogTable logs);

  std::shared_ptr<const SubscriptionSnapshot> snapshot() const;

  // The generation of the newest snapshot, to be compared with one's own
  // without a lock.
  uint64_t generation() const {
    return generation_.load(std::memory_order_acquire);
  }

 private:
  // A copy of the current snapshot, to be changed and then put in its place.
  std::shared_ptr<SubscriptionSnapshot> Next() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Replace(std::shared_ptr<SubscriptionSnapshot> next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::shared_ptr<const SubscriptionSnapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> generation_{0};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIPTION_TABLE_H_
