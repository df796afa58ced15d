#include "clients/cli/bridge/value_queue.h"

namespace fifobus::bridge {

void ValueQueue::Erase(uint64_t version) {
  const auto found = values_.find(version);
  if (found == values_.end()) return;
  bytes_ -= found->second.bytes();
  newest_.erase(found->second.subject);
  values_.erase(found);
}

void ValueQueue::Put(NatsMessage value) {
  const auto older = newest_.find(value.subject);
  if (older != newest_.end()) Erase(older->second);
  ++last_version_;
  bytes_ += value.bytes();
  newest_.emplace(value.subject, last_version_);
  values_.emplace(last_version_, std::move(value));
}

void ValueQueue::Clear() {
  values_.clear();
  newest_.clear();
  flying_.clear();
  bytes_ = 0;
}

std::optional<std::pair<uint64_t, NatsMessage>> ValueQueue::NextToSend() {
  if (flying_.size() >= window_) return std::nullopt;
  const auto next = values_.upper_bound(sent_version_);
  if (next == values_.end()) return std::nullopt;
  sent_version_ = next->first;
  flying_.insert(next->first);
  return *next;
}

void ValueQueue::OnStored(uint64_t version) {
  // An answer of an older round, to what is sent again, says nothing.
  if (flying_.erase(version) > 0) Erase(version);
}

std::optional<NatsMessage> ValueQueue::TakeRefused(uint64_t version) {
  flying_.erase(version);
  const auto found = values_.find(version);
  if (found == values_.end()) return std::nullopt;
  NatsMessage refused = found->second;
  Erase(version);
  return refused;
}

void ValueQueue::BeginRound() {
  flying_.clear();
  sent_version_ = 0;
}

}  // namespace fifobus::bridge
