#include "broker/core/retained/retained_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/log.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/retained_state.pb.h"
#include "proto/expiry.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

std::string RetainedDelivery() {
  DeliveryView delivery;
  delivery.retained = true;
  std::string frame;
  AppendDeliveryFrame(delivery, frame);
  return frame;
}

RetainedValue MakeValue(std::string_view delivery, std::string_view frame,
                        uint64_t expiry_unix_nanos) {
  ChunkRef chunk = Chunk::Make(delivery.size() + frame.size());
  std::memcpy(chunk->bytes(), delivery.data(), delivery.size());
  std::memcpy(chunk->bytes() + delivery.size(), frame.data(), frame.size());
  return {std::move(chunk), expiry_unix_nanos};
}

// The pattern up to its first wildcard: every topic that it matches begins so.
std::string_view LiteralPrefix(std::string_view pattern) {
  return pattern.substr(0, pattern.find('*'));
}

}  // namespace

RetainedStore::RetainedStore(const BrokerOptions& options, Counters& counters)
    : options_(options), counters_(counters), delivery_(RetainedDelivery()) {}

// It lives in an optional of a router, where the analysis cannot follow it.
RetainedStore::Transaction::Transaction(RetainedStore& store)
    ABSL_NO_THREAD_SAFETY_ANALYSIS : store_(store) {
  store_.mutex_.Lock();
}

RetainedStore::Transaction::~Transaction() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  store_.mutex_.Unlock();
}

RetainedStore::Kept RetainedStore::Transaction::Keep(std::string_view frame,
                                                     const MessageView& message,
                                                     size_t history) {
  store_.mutex_.AssertHeld();
  return store_.KeepValue(frame, message, history);
}

void RetainedStore::Transaction::Replay(std::string_view pattern,
                                        Visitor visit) {
  store_.mutex_.AssertHeld();
  const auto now = UnixNanosNow();
  const std::string_view prefix = LiteralPrefix(pattern);
  auto topic = store_.topics_.lower_bound(prefix);
  while (topic != store_.topics_.end() && topic->first.starts_with(prefix)) {
    const auto next = std::next(topic);
    if (Matches(pattern, topic->first)) {
      if (store_.RemoveExpired(topic, now)) {
        for (const RetainedValue& value : topic->second) {
          visit(topic->first, value);
        }
      }
    } else if (prefix.size() == pattern.size()) {
      return;  // without a wildcard only the first can match
    }
    topic = next;
  }
}

uint64_t RetainedStore::Transaction::ForgetExpired() {
  store_.mutex_.AssertHeld();
  store_.ForgetExpired(UnixNanosNow());
  if (store_.expiries_.empty()) return 0;
  return std::get<0>(*store_.expiries_.begin());
}

void RetainedStore::Transaction::Export(StateChunks& chunks,
                                        ExportVisitor visit) const {
  store_.mutex_.AssertHeld();
  for (const auto& [topic, values] : store_.topics_) {
    pb::state::RetainedTopic state;
    state.set_topic(topic);
    for (const RetainedValue& value : values) {
      pb::state::RetainedTopic::Value& one = *state.add_values();
      *one.mutable_bytes() = chunks.Export(value.chunk, value.chunk->view());
      one.set_expiry_unix_nanos(value.expiry_unix_nanos);
    }
    visit(std::move(state));
  }
}

void RetainedStore::Transaction::Restore(const pb::state::RetainedTopic& state,
                                         const StateChunks& chunks) {
  store_.mutex_.AssertHeld();
  if (state.values().empty()) return;
  const auto [topic, is_new] = store_.topics_.try_emplace(state.topic());
  FIFOBUS_CHECK(is_new);
  for (const pb::state::RetainedTopic::Value& one : state.values()) {
    StateChunks::Restored restored = chunks.Restore(one.bytes());
    FIFOBUS_CHECK(restored.bytes.size() == restored.chunk->capacity());
    store_.Add(topic, {std::move(restored.chunk), one.expiry_unix_nanos()});
  }
  store_.topics_count_.store(store_.topics_.size());
}

void RetainedStore::ForgetExpired(uint64_t now_unix_nanos) {
  for (size_t topics = 0; topics < kForgottenAtOnce; ++topics) {
    if (expiries_.empty()) return;
    const auto& [expiry, topic, number] = *expiries_.begin();
    if (!IsExpired(expiry, now_unix_nanos)) return;
    (void)RemoveExpired(topics_.find(*topic), now_unix_nanos);
  }
}

bool RetainedStore::RemoveExpired(Topics::iterator topic,
                                  uint64_t now_unix_nanos) {
  Values& values = topic->second;
  const auto expired = [&](const RetainedValue& value) {
    return IsExpired(value.expiry_unix_nanos, now_unix_nanos);
  };
  const bool newest_expired = expired(values.back());
  std::erase_if(values, [&](const RetainedValue& value) {
    mutex_.AssertHeld();  // the analysis does not look into lambdas
    if (!expired(value)) return false;
    Uncount(topic, value);
    return true;
  });
  if (values.empty()) {
    Forget(topic);
    return false;
  }
  if (newest_expired && observer_ != nullptr) {
    observer_->OnRetained(topic->first, values.back());
  }
  return true;
}

RetainedStore::Kept RetainedStore::KeepValue(std::string_view frame,
                                             const MessageView& message,
                                             size_t history) {
  const size_t bytes = delivery_.size() + frame.size();
  auto topic = topics_.find(message.topic);
  if (message.retain && message.payload.empty()) {
    if (topic != topics_.end()) Forget(topic);
    return Kept::kCleared;
  }
  if (!HasRoom(topic == topics_.end(), bytes)) {
    ForgetExpired(UnixNanosNow());
    topic = topics_.find(message.topic);  // which may be gone now
  }
  if (topic == topics_.end()) {
    if (topics_.size() >= options_.retained_topics_max) {
      CountRefusal(message.topic);
      return Kept::kRefused;
    }
    topic = topics_.try_emplace(std::string(message.topic)).first;
    topics_count_.store(topics_.size());
  }
  const Values& values = topic->second;
  const size_t count = std::max<size_t>(1, history);
  while (!values.empty() && (values.size() >= count ||
                             bytes_ + bytes > options_.retained_bytes_max)) {
    DropOldest(topic);
  }
  if (bytes_ + bytes > options_.retained_bytes_max) {
    CountRefusal(message.topic);
    Forget(topic);
    return Kept::kRefused;
  }
  Add(topic, MakeValue(delivery_, frame, message.expiry_unix_nanos));
  if (observer_ != nullptr) observer_->OnRetained(topic->first, values.back());
  return Kept::kRetained;
}

bool RetainedStore::HasRoom(bool new_topic, size_t bytes) const {
  return (!new_topic || topics_.size() < options_.retained_topics_max) &&
         bytes_ + bytes <= options_.retained_bytes_max;
}

void RetainedStore::Forget(Topics::iterator topic) {
  while (!topic->second.empty()) DropOldest(topic);
  if (observer_ != nullptr) observer_->OnForgotten(topic->first);
  topics_.erase(topic);
  topics_count_.store(topics_.size());
}

void RetainedStore::Add(Topics::iterator topic, RetainedValue value) {
  bytes_ += value.chunk->capacity();
  if (value.expiry_unix_nanos != 0) {
    expiries_.emplace(value.expiry_unix_nanos, &topic->first, ++expiries_made_);
  }
  topic->second.push_back(std::move(value));
}

void RetainedStore::Uncount(Topics::iterator topic,
                            const RetainedValue& value) {
  bytes_ -= value.chunk->capacity();
  if (value.expiry_unix_nanos == 0) return;
  // Any one of the topic's that expire then.
  expiries_.erase(
      expiries_.lower_bound({value.expiry_unix_nanos, &topic->first, 0}));
}

void RetainedStore::DropOldest(Topics::iterator topic) {
  Uncount(topic, topic->second.front());
  topic->second.pop_front();
}

void RetainedStore::CountRefusal(std::string_view topic) {
  counters_.messages_not_retained.Add();
  if (const auto refused = refused_.Count()) {
    LogWarning("message not retained: the broker keeps no more",
               {{"topic", topic},
                {"topics", topics_.size()},
                {"bytes", bytes_},
                {"topics_max", options_.retained_topics_max},
                {"bytes_max", options_.retained_bytes_max},
                {"refused", *refused}});
  }
}

}  // namespace fifobus
