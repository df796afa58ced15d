#include "clients/cpp/internal/subscriptions.h"

#include <algorithm>

#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {

absl::Status Subscriptions::Check(std::string_view pattern,
                                  const SubscribeOptions& options) {
  const TopicFault fault = CheckPattern(pattern);
  if (fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(
        fmt::format("the pattern \"{}\" {}", pattern.substr(0, kTopicBytesMax),
                    PatternFaultText(fault)));
  }
  const std::string_view group = options.group;
  if (group.empty()) {
    return options.acks
               ? absl::InvalidArgumentError("only groups acknowledge: name one")
               : absl::OkStatus();
  }
  if (CheckTopic(group) != TopicFault::kNone || IsReserved(group) ||
      group.find('/') != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "the group \"{}\" is not one level of a topic: letters, digits and "
        "_ . : @ -",
        group.substr(0, kTopicBytesMax)));
  }
  return absl::OkStatus();
}

Subscriptions::Subscription* Subscriptions::Find(std::string_view pattern,
                                                 std::string_view group) {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Subscription& s) {
        return s.pattern == pattern && s.options.group == group;
      });
  return found == all_.end() ? nullptr : &*found;
}

Subscriptions::Subscription& Subscriptions::Add(
    std::string_view pattern, const SubscribeOptions& options) {
  Subscription& added = all_.emplace_back();
  added.pattern = pattern;
  added.options = options;
  return added;
}

void Subscriptions::Remove(std::string_view pattern, std::string_view group) {
  all_.remove_if([&](const Subscription& s) {
    return s.pattern == pattern && s.options.group == group;
  });
}

pb::Frame Subscriptions::Ask(Subscription& subscription, uint64_t request_id) {
  subscription.request_id = request_id;
  subscription.state = State::kAsked;
  subscription.refusal = absl::OkStatus();
  const SubscribeOptions& options = subscription.options;
  pb::Frame frame;
  pb::Subscribe& subscribe = *frame.mutable_subscribe();
  subscribe.set_request_id(request_id);
  subscribe.set_pattern(subscription.pattern);
  subscribe.set_skip_retained(options.skip_retained);
  subscribe.set_group(options.group);
  if (options.acks) {
    pb::Subscribe::Acks& acks = *subscribe.mutable_acks();
    acks.set_unacked_max(options.acks->unacked_max);
    acks.set_timeout_millis(static_cast<uint64_t>(
        absl::ToInt64Milliseconds(options.acks->timeout)));
    acks.set_deliveries_max(options.acks->deliveries_max);
  }
  return frame;
}

void Subscriptions::OnSubscribed(uint64_t request_id) {
  for (Subscription& subscription : all_) {
    if (subscription.request_id == request_id) {
      subscription.state = State::kInForce;
    }
  }
}

const Subscriptions::Subscription* Subscriptions::OnRefused(
    uint64_t request_id, const absl::Status& refusal) {
  for (Subscription& subscription : all_) {
    if (subscription.request_id != request_id) continue;
    subscription.state = State::kRefused;
    subscription.refusal = refusal;
    return &subscription;
  }
  return nullptr;
}

bool Subscriptions::MissesMessages() const {
  return std::any_of(all_.begin(), all_.end(),
                     [](const Subscription& s) { return !s.internal; });
}

}  // namespace fifobus
