#include "broker/core/groups/group_request.h"

#include "broker/core/groups/dead_letter.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

std::string NameFault(const std::string& group) {
  if (group.find('/') != std::string::npos) {
    return "the group's name must be one level of a topic";
  }
  const TopicFault fault = CheckTopic(DeadLetterTopic(group));
  if (fault == TopicFault::kNone) return "";
  return fmt::format("the topic of the group's dead letters, $dead/GROUP, {}",
                     TopicFaultText(fault));
}

std::string RuleFault(const pb::Subscribe::Acks& acks,
                      const BrokerOptions& options) {
  if (acks.unacked_max() > options.group_unacked_max) {
    return fmt::format("unacked_max may be {} at most",
                       options.group_unacked_max);
  }
  const auto timeout_max_millis = static_cast<uint64_t>(
      absl::ToInt64Milliseconds(options.group_ack_timeout_max));
  if (acks.timeout_millis() > timeout_max_millis) {
    return fmt::format("timeout_millis may be {} at most", timeout_max_millis);
  }
  if (acks.deliveries_max() > options.group_deliveries_max) {
    return fmt::format("deliveries_max may be {} at most",
                       options.group_deliveries_max);
  }
  return "";
}

AckRule RuleOf(const pb::Subscribe::Acks& acks) {
  AckRule rule;
  if (acks.unacked_max() > 0) rule.unacked_max = acks.unacked_max();
  if (acks.timeout_millis() > 0) {
    rule.timeout =
        absl::Milliseconds(static_cast<int64_t>(acks.timeout_millis()));
  }
  if (acks.deliveries_max() > 0) rule.deliveries_max = acks.deliveries_max();
  return rule;
}

}  // namespace

GroupRequest ReadGroupRequest(const pb::Subscribe& subscribe,
                              const BrokerOptions& options) {
  GroupRequest request;
  request.fault = NameFault(subscribe.group());
  if (!subscribe.has_acks()) return request;
  if (request.fault.empty()) {
    request.fault = RuleFault(subscribe.acks(), options);
  }
  request.rule = RuleOf(subscribe.acks());
  return request;
}

}  // namespace fifobus
