#include "broker/core/groups/ack_ledger.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "broker/base/check.h"
#include "proto/expiry.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

// A Delivery frame at most: prefix, tag and length of the member, an ack id of
// ten bytes, a count of five, an offset and a time of eight, each behind its
// tag.
constexpr size_t kDeliveryBytesMax = kFramePrefixBytes + 2 + 11 + 6 + 9 + 9;

}  // namespace

pb::state::AckRule AckRule::Export() const {
  pb::state::AckRule state;
  state.set_unacked_max(unacked_max);
  state.set_timeout_nanos(absl::ToInt64Nanoseconds(timeout));
  state.set_deliveries_max(deliveries_max);
  return state;
}

AckRule AckRule::Restore(const pb::state::AckRule& state) {
  return {state.unacked_max(), absl::Nanoseconds(state.timeout_nanos()),
          state.deliveries_max()};
}

pb::state::DeliveryCounts ExportCounts(const DeliveryCounts& counts) {
  pb::state::DeliveryCounts state;
  for (const auto& [offset, deliveries] : counts) {
    pb::state::DeliveryCounts::Count& count = *state.add_counts();
    count.set_offset(offset);
    count.set_deliveries(deliveries);
  }
  return state;
}

DeliveryCounts RestoreCounts(const pb::state::DeliveryCounts& state) {
  DeliveryCounts counts;
  for (const pb::state::DeliveryCounts::Count& count : state.counts()) {
    counts[count.offset()] = count.deliveries();
  }
  return counts;
}

KeptMessage::KeptMessage(std::string_view frame, StoredPlace place)
    : chunk_(Chunk::Make(kDeliveryBytesMax + frame.size())),
      frame_bytes_(frame.size()),
      place_(place),
      expiry_unix_nanos_(ReadMessageFrame(frame).expiry_unix_nanos) {
  std::memcpy(chunk_->bytes() + kDeliveryBytesMax, frame.data(), frame.size());
}

std::string_view KeptMessage::frame() const {
  return {chunk_->bytes() + kDeliveryBytesMax, frame_bytes_};
}

std::string_view KeptMessage::UnitFor(uint64_t ack_id) {
  DeliveryView delivery;
  delivery.ack_id = ack_id;
  delivery.delivery_count = deliveries_ + 1;
  delivery.offset = place_.offset;
  delivery.stored_time_unix_nanos = place_.stored_time_unix_nanos;
  std::string head;
  AppendDeliveryFrame(delivery, head);
  FIFOBUS_CHECK(head.size() <= kDeliveryBytesMax);
  char* const begin = chunk_->bytes() + kDeliveryBytesMax - head.size();
  std::memcpy(begin, head.data(), head.size());
  return {begin, head.size() + frame_bytes_};
}

void KeptMessage::CountDelivery(uint32_t member) {
  ++deliveries_;
  member_ = member;
}

pb::state::KeptMessage KeptMessage::Export() const {
  pb::state::KeptMessage state;
  state.set_frame(frame().data(), frame().size());
  state.set_offset(place_.offset);
  state.set_stored_time_unix_nanos(place_.stored_time_unix_nanos);
  state.set_deliveries(deliveries_);
  state.set_member(member_);
  return state;
}

KeptMessage KeptMessage::Restore(const pb::state::KeptMessage& state) {
  KeptMessage message(state.frame(),
                      {state.offset(), state.stored_time_unix_nanos()});
  message.deliveries_ = state.deliveries();
  message.member_ = state.member();
  return message;
}

size_t AckLedger::CapacityOf(uint32_t member) const {
  const auto held = held_.find(member);
  if (held == held_.end()) return rule_.unacked_max;
  if (held->second.bytes >= unacked_bytes_max_) return 0;
  return rule_.unacked_max - held->second.messages;
}

void AckLedger::Add(uint64_t ack_id, uint32_t member, KeptMessage message,
                    absl::Duration now) {
  message.CountDelivery(member);
  Hold(ack_id, std::move(message), now + rule_.timeout);
}

void AckLedger::Hold(uint64_t ack_id, KeptMessage message,
                     absl::Duration deadline) {
  Held& held = held_[message.member()];
  ++held.messages;
  held.bytes += message.frame().size();
  unacked_.push_back({ack_id, std::move(message), deadline});
  by_ack_id_.emplace(ack_id, std::prev(unacked_.end()));
}

void AckLedger::Done(uint32_t member, uint64_t ack_id) {
  const auto at = Find(member, ack_id);
  if (at == unacked_.end()) return;
  if (at->message.offset() > 0) done_.push_back(at->message.offset());
  Remove(at);
}

void AckLedger::Retry(uint32_t member, uint64_t ack_id) {
  const auto at = Find(member, ack_id);
  if (at != unacked_.end()) Return({at});
}

void AckLedger::Extend(uint32_t member, uint64_t ack_id, absl::Duration now) {
  const auto at = Find(member, ack_id);
  if (at == unacked_.end()) return;
  at->deadline = now + rule_.timeout;
  unacked_.splice(unacked_.end(), unacked_, at);
}

void AckLedger::ReclaimFrom(uint32_t member) {
  std::vector<Unackeds::iterator> returned;
  for (auto at = unacked_.begin(); at != unacked_.end(); ++at) {
    if (at->message.member() == member) returned.push_back(at);
  }
  Return(std::move(returned));
}

void AckLedger::ReclaimOverdue(absl::Duration now) {
  std::vector<Unackeds::iterator> returned;
  for (auto at = unacked_.begin(); at != unacked_.end() && at->deadline <= now;
       ++at) {
    returned.push_back(at);
  }
  Return(std::move(returned));
}

KeptMessage AckLedger::PopWaiting() {
  KeptMessage message = std::move(waiting_.front());
  waiting_.pop_front();
  return message;
}

std::vector<KeptMessage> AckLedger::PopExpired(uint64_t now_unix_nanos) {
  const auto is_stale = [&](const KeptMessage& message) {
    return IsExpired(message.expiry_unix_nanos(), now_unix_nanos);
  };
  std::vector<KeptMessage> stale = std::exchange(expired_, {});
  const size_t new_ones = stale.size();
  for (const KeptMessage& message : waiting_) {
    if (is_stale(message)) stale.push_back(message);
  }
  if (stale.size() > new_ones) std::erase_if(waiting_, is_stale);
  return stale;
}

std::vector<KeptMessage> AckLedger::PopDead() {
  return std::exchange(dead_, {});
}

std::vector<uint64_t> AckLedger::PopDone() { return std::exchange(done_, {}); }

DeliveryCounts AckLedger::CountsByOffset() const {
  DeliveryCounts counts;
  const auto count = [&](const KeptMessage& message) {
    if (message.offset() > 0) counts[message.offset()] = message.deliveries();
  };
  for (const Unacked& unacked : unacked_) count(unacked.message);
  for (const KeptMessage& message : waiting_) count(message);
  return counts;
}

size_t AckLedger::UnackedOf(uint32_t member) const {
  const auto held = held_.find(member);
  return held == held_.end() ? 0 : held->second.messages;
}

uint64_t AckLedger::Abandon() {
  const uint64_t messages = unacked_.size() + waiting_.size();
  unacked_.clear();
  by_ack_id_.clear();
  held_.clear();
  waiting_.clear();
  return messages;
}

AckLedger::Unackeds::iterator AckLedger::Find(uint32_t member,
                                              uint64_t ack_id) {
  const auto found = by_ack_id_.find(ack_id);
  if (found == by_ack_id_.end() || found->second->message.member() != member) {
    return unacked_.end();
  }
  return found->second;
}

KeptMessage AckLedger::Remove(Unackeds::iterator at) {
  KeptMessage message = std::move(at->message);
  by_ack_id_.erase(at->ack_id);
  unacked_.erase(at);
  const auto held = held_.find(message.member());
  held->second.bytes -= message.frame().size();
  if (--held->second.messages == 0) held_.erase(held);
  return message;
}

void AckLedger::Return(std::vector<Unackeds::iterator> returned) {
  // Extended ones may be older than they lie.
  std::sort(returned.begin(), returned.end(),
            [](auto a, auto b) { return a->ack_id < b->ack_id; });
  size_t waiting = 0;
  for (const Unackeds::iterator at : returned) {
    KeptMessage message = Remove(at);
    if (message.deliveries() >= rule_.deliveries_max) {
      dead_.push_back(std::move(message));
    } else {
      // At the front, in their order.
      waiting_.insert(waiting_.begin() + static_cast<ptrdiff_t>(waiting++),
                      std::move(message));
    }
  }
}

pb::state::AckLedger AckLedger::Export() const {
  pb::state::AckLedger state;
  for (const Unacked& unacked : unacked_) {
    pb::state::AckLedger::Unacked& one = *state.add_unacked();
    one.set_ack_id(unacked.ack_id);
    *one.mutable_message() = unacked.message.Export();
    one.set_deadline_nanos(absl::ToInt64Nanoseconds(unacked.deadline));
  }
  for (const KeptMessage& message : waiting_) {
    *state.add_waiting() = message.Export();
  }
  for (const KeptMessage& message : dead_) *state.add_dead() = message.Export();
  for (const KeptMessage& message : expired_) {
    *state.add_expired() = message.Export();
  }
  state.mutable_done_offsets()->Add(done_.begin(), done_.end());
  return state;
}

void AckLedger::Restore(const pb::state::AckLedger& state) {
  for (const pb::state::AckLedger::Unacked& one : state.unacked()) {
    Hold(one.ack_id(), KeptMessage::Restore(one.message()),
         absl::Nanoseconds(one.deadline_nanos()));
  }
  for (const pb::state::KeptMessage& message : state.waiting()) {
    waiting_.push_back(KeptMessage::Restore(message));
  }
  for (const pb::state::KeptMessage& message : state.dead()) {
    dead_.push_back(KeptMessage::Restore(message));
  }
  for (const pb::state::KeptMessage& message : state.expired()) {
    expired_.push_back(KeptMessage::Restore(message));
  }
  done_.assign(state.done_offsets().begin(), state.done_offsets().end());
}

}  // namespace fifobus
