#include "broker/core/routing/subscription_table.h"

#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "proto/topic.h"

namespace fifobus {

using Snapshot = SubscriptionSnapshot;

bool Snapshot::Node::empty() const {
  return literal.empty() && any == nullptr && here.empty() && from_here.empty();
}

namespace {

using Levels = absl::Span<const std::string_view>;

template <typename Subscribers>
void Collect(const Subscribers& subscribers, Snapshot::Egresses& egresses) {
  subscribers.ForEach([&](uint32_t, const std::shared_ptr<Egress>& egress) {
    egresses.push_back(egress);
  });
}

// Collects below `node` for the levels that are left. `wildcards` is false for
// the first level of a reserved topic.
template <typename Node>
void MatchBelow(const Node& node, Levels levels, bool wildcards,
                Snapshot::Egresses& egresses) {
  if (levels.empty()) {
    Collect(node.here, egresses);
    return;
  }
  if (wildcards) Collect(node.from_here, egresses);
  const Levels rest = levels.subspan(1);
  if (const auto* next = node.literal.Find(levels.front())) {
    MatchBelow(**next, rest, true, egresses);
  }
  if (wildcards && node.any) MatchBelow(*node.any, rest, true, egresses);
}

template <typename Node>
bool ReachesBelow(const Node& node, Levels levels, bool wildcards,
                  uint32_t egress_id) {
  if (levels.empty()) return node.here.Find(egress_id) != nullptr;
  if (wildcards && node.from_here.Find(egress_id) != nullptr) return true;
  const Levels rest = levels.subspan(1);
  const auto* next = node.literal.Find(levels.front());
  if (next != nullptr && ReachesBelow(**next, rest, true, egress_id)) {
    return true;
  }
  return wildcards && node.any &&
         ReachesBelow(*node.any, rest, true, egress_id);
}

// A copy of the path for `levels` from `at` (null: a new node), with its last
// node changed. Null if nothing is left below.
template <typename NodeRef, typename Change>
NodeRef CopyPath(const NodeRef& at, Levels levels, const Change& change) {
  using Node = typename std::remove_const_t<typename NodeRef::element_type>;
  auto node = at ? std::make_shared<Node>(*at) : std::make_shared<Node>();
  if (levels.empty()) {
    change(node->here);
  } else if (levels.front() == "**") {
    change(node->from_here);
  } else if (levels.front() == "*") {
    node->any = CopyPath(node->any, levels.subspan(1), change);
  } else {
    const std::string level(levels.front());
    const NodeRef* next = node->literal.Find(level);
    const NodeRef below = CopyPath(next == nullptr ? NodeRef() : *next,
                                   levels.subspan(1), change);
    node->literal =
        below ? node->literal.With(level, below) : node->literal.Without(level);
  }
  return node->empty() ? NodeRef() : node;
}

}  // namespace

Snapshot::Egresses Snapshot::Match(std::string_view topic) const {
  Egresses egresses;
  if (!root_) return egresses;
  const TopicLevels levels = SplitLevels(topic);
  MatchBelow(*root_, levels, !IsReserved(topic), egresses);
  const auto by_id = [](const auto& a, const auto& b) {
    return a->id() < b->id();
  };
  std::sort(egresses.begin(), egresses.end(), by_id);
  egresses.erase(std::unique(egresses.begin(), egresses.end()), egresses.end());
  return egresses;
}

bool Snapshot::Reaches(std::string_view topic, uint32_t egress_id) const {
  if (!root_) return false;
  return ReachesBelow(*root_, SplitLevels(topic), !IsReserved(topic),
                      egress_id);
}

SubscriptionTable::SubscriptionTable() {
  auto first = std::make_shared<Snapshot>();
  first->rules_ = std::make_shared<const TopicRules>();
  first->logs_ = std::make_shared<const LogTable>();
  MutexLock lock(mutex_);
  snapshot_ = std::move(first);
}

void SubscriptionTable::Add(std::string_view pattern,
                            const std::shared_ptr<Egress>& egress) {
  const TopicLevels levels = SplitLevels(pattern);
  MutexLock lock(mutex_);
  std::shared_ptr<Snapshot> next = Next();
  next->root_ = CopyPath(next->root_, levels, [&](auto& subscribers) {
    subscribers = subscribers.With(egress->id(), egress);
  });
  Replace(std::move(next));
}

uint64_t SubscriptionTable::Remove(std::string_view pattern,
                                   uint32_t egress_id) {
  const TopicLevels levels = SplitLevels(pattern);
  MutexLock lock(mutex_);
  std::shared_ptr<Snapshot> next = Next();
  next->root_ = CopyPath(next->root_, levels, [&](auto& subscribers) {
    subscribers = subscribers.Without(egress_id);
  });
  Replace(std::move(next));
  return snapshot_->generation();
}

void SubscriptionTable::SetRules(TopicRules rules) {
  auto shared = std::make_shared<const TopicRules>(std::move(rules));
  MutexLock lock(mutex_);
  std::shared_ptr<Snapshot> next = Next();
  next->rules_ = std::move(shared);
  Replace(std::move(next));
}

void SubscriptionTable::SetLogs(LogTable logs) {
  auto shared = std::make_shared<const LogTable>(std::move(logs));
  MutexLock lock(mutex_);
  std::shared_ptr<Snapshot> next = Next();
  next->logs_ = std::move(shared);
  Replace(std::move(next));
}

std::shared_ptr<const Snapshot> SubscriptionTable::snapshot() const {
  MutexLock lock(mutex_);
  return snapshot_;
}

std::shared_ptr<Snapshot> SubscriptionTable::Next() const {
  auto next = std::make_shared<Snapshot>(*snapshot_);
  ++next->generation_;
  return next;
}

void SubscriptionTable::Replace(std::shared_ptr<Snapshot> next) {
  snapshot_ = std::move(next);
  generation_.store(snapshot_->generation_, std::memory_order_release);
}

}  // namespace fifobus
