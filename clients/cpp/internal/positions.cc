#include "clients/cpp/internal/positions.h"

#include <algorithm>

#include "clients/cpp/internal/frame_walk.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

bool IsOfGroup(const Subscriptions::Subscription& subscription) {
  return !subscription.options.group.empty();
}

bool IsDurable(const Subscriptions::Subscription& subscription) {
  return !subscription.options.durable.empty();
}

}  // namespace

void Positions::OnRemove(const Subscription* subscription) {
  if (taken_ == subscription) taken_ = nullptr;
}

void Positions::OnSessionBegun() {
  for (Subscription& subscription : subscriptions_.all()) {
    if (subscription.done_offset == subscription.acked_offset) {
      subscription.done_offset = 0;
    }
    subscription.acked_offset = 0;
  }
}

Positions::Taken Positions::OnTaken(std::string_view topic, uint64_t offset) {
  taken_ = Find(topic);
  if (taken_ == nullptr) return {};
  const bool repeated = taken_->resumed && offset < taken_->next_offset;
  if (repeated && !IsDurable(*taken_)) {
    taken_ = nullptr;
    return {Taken::Fate::kRepeated, 0};
  }
  taken_->next_offset = offset + 1;
  return {Taken::Fate::kNew, taken_->number};
}

Positions::Subscription* Positions::Find(std::string_view topic) {
  Subscription* found = nullptr;
  for (Subscription& subscription : subscriptions_.all()) {
    if (!subscription.options.reads_log() || IsOfGroup(subscription)) continue;
    if (subscription.unread_before > 0) {
      --subscription.unread_before;
    } else if (found == nullptr && Matches(subscription.pattern, topic)) {
      found = &subscription;
    }
  }
  return found;
}

void Positions::OnReceive() {
  Subscription& taken = *taken_;
  taken_ = nullptr;
  if (IsDurable(taken) && taken.options.auto_ack) {
    SetDone(taken, taken.next_offset - 1);
  }
}

void Positions::OnDone(uint64_t subscription, uint64_t offset) {
  for (Subscription& each : subscriptions_.all()) {
    if (each.number == subscription && IsDurable(each) && !IsOfGroup(each)) {
      SetDone(each, offset);
    }
  }
}

void Positions::SetDone(Subscription& subscription, uint64_t offset) {
  subscription.done_offset = offset;
  has_acks_ = true;
}

bool Positions::HasAcked() const {
  return std::any_of(
      subscriptions_.all().begin(), subscriptions_.all().end(),
      [](const Subscription& each) { return each.acked_offset != 0; });
}

void Positions::AppendAcks(std::string& out) {
  has_acks_ = false;
  for (Subscription& subscription : subscriptions_.all()) {
    if (subscription.done_offset == subscription.acked_offset) continue;
    subscription.acked_offset = subscription.done_offset;
    AppendPositionAckFrame(subscription.request_id, subscription.done_offset,
                           out);
  }
}

uint64_t CountReadMessages(std::string_view frames) {
  uint64_t count = 0;
  ForEachFrame(frames, [&](const FrameView& view) {
    if (view.kind != FrameKind::kDelivery) return;
    const DeliveryView delivery = ReadDelivery(view.member);
    if (delivery.offset != 0 && delivery.ack_id == 0) ++count;
  });
  return count;
}

}  // namespace fifobus
