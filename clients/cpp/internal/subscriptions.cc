#include "clients/cpp/internal/subscriptions.h"

#include <algorithm>

#include "clients/cpp/internal/message_check.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

absl::Status CheckReading(const SubscribeOptions& options) {
  if (options.until_now && (!options.start || !options.durable.empty())) {
    return absl::InvalidArgumentError(
        "until_now wants a start, and no durable reader");
  }
  if (options.durable.empty()) {
    return options.start && !options.group.empty()
               ? absl::InvalidArgumentError(
                     "a group that reads a log is a durable reader: name it")
               : absl::OkStatus();
  }
  if (!options.group.empty() && !options.acks) {
    return absl::InvalidArgumentError(
        "the group of a durable reader acknowledges: give it acks");
  }
  return CheckLevelName("durable reader", options.durable);
}

void SetStart(const Start& start, pb::Start& out) {
  switch (start.kind()) {
    case Start::Kind::kFirst:
      out.set_first(true);
      return;
    case Start::Kind::kOffset:
      out.set_offset(start.number());
      return;
    case Start::Kind::kLast:
      out.set_last(start.number());
      return;
    case Start::Kind::kTime:
      out.set_time_unix_nanos(start.number());
      return;
    case Start::Kind::kNext:
      out.set_next(true);
      return;
  }
}

}  // namespace

absl::Status Subscriptions::Check(std::string_view pattern,
                                  const SubscribeOptions& options) {
  const TopicFault fault = CheckPattern(pattern);
  if (fault != TopicFault::kNone) {
    return absl::InvalidArgumentError(
        fmt::format("the pattern \"{}\" {}", pattern.substr(0, kTopicBytesMax),
                    PatternFaultText(fault)));
  }
  const std::string& group = options.group;
  if (group.empty() && options.acks) {
    return absl::InvalidArgumentError("only groups acknowledge: name one");
  }
  if (!group.empty()) {
    const absl::Status name = CheckLevelName("group", group);
    if (!name.ok()) return name;
  }
  return CheckReading(options);
}

const Subscriptions::Subscription* Subscriptions::FindOverlap(
    std::string_view pattern, const SubscribeOptions& options) const {
  const auto reads_alone = [](const SubscribeOptions& o) {
    return o.reads_log() && o.group.empty();
  };
  if (!reads_alone(options)) return nullptr;
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Subscription& s) {
        return reads_alone(s.options) && Overlaps(s.pattern, pattern);
      });
  return found == all_.end() ? nullptr : &*found;
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
  added.number = ++last_number_;
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
  subscribe.set_durable(options.durable);
  subscribe.set_until_now(options.until_now);
  if (options.durable.empty() && subscription.next_offset != 0) {
    // Behind what sessions before have brought.
    subscription.resumed = true;
    subscribe.mutable_start()->set_offset(subscription.next_offset);
  } else if (options.start) {
    SetStart(*options.start, *subscribe.mutable_start());
  }
  return frame;
}

Subscriptions::Subscription* Subscriptions::OfRequest(uint64_t request_id) {
  const auto found = std::find_if(
      all_.begin(), all_.end(),
      [&](const Subscription& s) { return s.request_id == request_id; });
  return found == all_.end() ? nullptr : &*found;
}

Subscriptions::Subscription* Subscriptions::OnSubscribed(
    const pb::Subscribed& subscribed) {
  Subscription* const subscription = OfRequest(subscribed.request_id());
  if (subscription == nullptr) return nullptr;
  subscription->state = State::kInForce;
  return subscription;
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

bool Subscriptions::GoOn() const {
  return !MissesMessages() &&
         std::any_of(all_.begin(), all_.end(),
                     [](const Subscription& s) { return !s.internal; });
}

bool Subscriptions::MissesMessages() const {
  return std::any_of(all_.begin(), all_.end(), [](const Subscription& s) {
    return !s.internal && !s.options.reads_log();
  });
}

}  // namespace fifobus
