#include "broker/core/retained/retained_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "broker/base/log.h"
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
    if (Matches(pattern, topic->first)) {
      topic = store_.Visit(topic, now, visit);
    } else if (prefix.size() == pattern.size()) {
      return;  // without a wildcard only the first can match
    } else {
      ++topic;
    }
  }
}

RetainedStore::Topics::iterator RetainedStore::Visit(
    Topics::iterator topic, uint64_t now_unix_nanos,
    Transaction::Visitor visit) {
  Values& values = topic->second;
  const auto expired = [&](const RetainedValue& value) {
    return IsExpired(value.expiry_unix_nanos, now_unix_nanos);
  };
  const bool newest_expired = expired(values.back());
  std::erase_if(values, [&](const RetainedValue& value) {
    mutex_.AssertHeld();  // the analysis does not look into lambdas
    if (!expired(value)) return false;
    bytes_ -= value.chunk->capacity();
    return true;
  });
  if (values.empty()) return Forget(topic);
  if (newest_expired && observer_ != nullptr) {
    observer_->OnRetained(topic->first, values.back());
  }
  for (const RetainedValue& value : values) visit(topic->first, value);
  return std::next(topic);
}

RetainedStore::Kept RetainedStore::KeepValue(std::string_view frame,
                                             const MessageView& message,
                                             size_t history) {
  auto topic = topics_.find(message.topic);
  if (message.retain && message.payload.empty()) {
    if (topic != topics_.end()) (void)Forget(topic);
    return Kept::kCleared;
  }
  if (topic == topics_.end()) {
    if (topics_.size() >= options_.retained_topics_max) {
      CountRefusal(message.topic);
      return Kept::kRefused;
    }
    topic = topics_.try_emplace(std::string(message.topic)).first;
    topics_count_.store(topics_.size());
  }
  Values& values = topic->second;
  const size_t bytes = delivery_.size() + frame.size();
  const size_t count = std::max<size_t>(1, history);
  while (!values.empty() && (values.size() >= count ||
                             bytes_ + bytes > options_.retained_bytes_max)) {
    DropOldest(values);
  }
  if (bytes_ + bytes > options_.retained_bytes_max) {
    CountRefusal(message.topic);
    (void)Forget(topic);
    return Kept::kRefused;
  }
  values.push_back(MakeValue(delivery_, frame, message.expiry_unix_nanos));
  bytes_ += bytes;
  if (observer_ != nullptr) observer_->OnRetained(topic->first, values.back());
  return Kept::kRetained;
}

RetainedStore::Topics::iterator RetainedStore::Forget(Topics::iterator topic) {
  while (!topic->second.empty()) DropOldest(topic->second);
  if (observer_ != nullptr) observer_->OnForgotten(topic->first);
  const auto next = topics_.erase(topic);
  topics_count_.store(topics_.size());
  return next;
}

void RetainedStore::DropOldest(Values& values) {
  bytes_ -= values.front().chunk->capacity();
  values.pop_front();
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
