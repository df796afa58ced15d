#include "broker/core/routing/route_table.h"

#include <algorithm>
#include <utility>

namespace fifobus {

RouteTable::Found RouteTable::Find(std::string_view topic,
                                   const SubscriptionSnapshot& snapshot) {
  auto known = routes_.find(absl::string_view(topic.data(), topic.size()));
  if (known != routes_.end() &&
      known->second.generation == snapshot.generation()) {
    Route& route = known->second;
    if (route.count->forgotten()) route.count = stats_.Find(topic);
    return {&route};
  }
  if (known == routes_.end()) {
    const TopicFault fault = CheckTopicToPublish(topic);
    if (fault != TopicFault::kNone) return {nullptr, fault};
  }
  SubscriptionSnapshot::Egresses targets = snapshot.Match(topic);
  if (IsReplyTopic(topic)) {
    Resolve(topic, snapshot, std::move(targets), reply_route_);
    return {&reply_route_};
  }
  if (known != routes_.end()) targets_ -= known->second.targets.size();
  if ((known == routes_.end() && routes_.size() >= options_.routes_max) ||
      targets_ + targets.size() > options_.route_targets_max) {
    routes_.clear();
    targets_ = 0;
    known = routes_.end();
  }
  if (known == routes_.end()) {
    known = routes_.try_emplace(std::string(topic)).first;
  }
  targets_ += targets.size();
  Resolve(topic, snapshot, std::move(targets), known->second);
  return {&known->second};
}

void RouteTable::Resolve(std::string_view topic,
                         const SubscriptionSnapshot& snapshot,
                         SubscriptionSnapshot::Egresses targets,
                         Route& route) const {
  route.generation = snapshot.generation();
  const TopicRules& rules = snapshot.rules();
  route.history = keeps_history_ ? rules.HistoryOf(topic) : 0;
  route.may_retain = rules.MayRetain(topic);
  route.allowed = rules.PublishersOf(topic);
  route.log = snapshot.logs().LogOf(topic).get();
  route.targets = std::move(targets);
  route.has_taps =
      std::any_of(route.targets.begin(), route.targets.end(),
                  [](const std::shared_ptr<Egress>& egress) {
                    return egress->format() != EgressFormat::kFrames;
                  });
  route.taps = static_cast<uint32_t>(std::count_if(
      route.targets.begin(), route.targets.end(),
      [](const std::shared_ptr<Egress>& egress) { return egress->is_tap(); }));
  route.sessions = static_cast<uint32_t>(route.targets.size()) - route.taps;
  if (!route.count) route.count = stats_.Find(topic);
}

}  // namespace fifobus
