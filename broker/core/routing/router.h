#ifndef FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_
#define FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/container/node_hash_map.h"
#include "broker/base/mutex.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/fan_out.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {

// The publisher of a chunk's messages. Thread-compatible (plain data).
struct PublisherId {
  uint32_t uid = 0;
  uint64_t session = 0;  // its number; 0: a tap
};

// Finds out who gets each message of a chunk. Messages are added in their
// order; neighbours of one topic cost one comparison each, other topics one
// hash lookup, and only a topic that is new since the last change of
// subscriptions is matched against the table. Flush gives every subscriber its
// slices of the chunk.
//
//   router.Begin(chunk, valve);
//   for (each frame) router.Add(frame, message);
//   router.Flush();
//
// What is to be retained is given to the store, whose transaction lasts from
// the first such message until Flush: see RetainedStore. The others pay for
// this with two flags that are looked at.
//
// One for each worker. Worker-affine but for CollectTopics and CountOf, which
// any thread may call.
class Router {
 public:
  // All must live as long as this. `staging` may be null: see FanOut. Without a
  // store nothing is retained.
  Router(const BrokerOptions& options, const SubscriptionTable& table,
         Counters& counters, Staging* staging = nullptr,
         RetainedStore* store = nullptr);

  // Takes the current subscriptions: call it after the chunk was read, so that
  // a client that was told "subscribed" before a message was written gets it.
  // `valve` is that of the ingress, which is paused if a subscriber is full;
  // may be null. Both must live until the last Flush for this chunk.
  void Begin(const ChunkRef& chunk, const std::shared_ptr<Valve>& valve,
             PublisherId publisher);
  void Begin(const ChunkRef& chunk, std::shared_ptr<Valve>&& valve,
             PublisherId publisher) = delete;

  enum class Outcome {
    kRouted,
    kBadTopic,
    kReservedTopic,
    kDenied,  // the user may not publish on this topic
  };

  // `frame` is a whole Message frame in the chunk, prefix included, and
  // `message` what ReadMessage found in it, without fault.
  [[nodiscard]] Outcome Add(std::string_view frame, const MessageView& message);

  // As Add, for a frame that differs from the one that was added last in its
  // payload's bytes only, and has no fields but topic and payload. False:
  // nothing was done, Add must be asked.
  [[nodiscard]] bool AddRepeated(std::string_view frame, size_t payload_bytes);

  // The receivers of the message that was added last, which is passed again.
  // REQUIRES: it was routed, and not flushed yet.
  struct Receivers {
    uint32_t sessions = 0;
    uint32_t taps = 0;
    bool retained = false;  // or has cleared what was retained
  };
  Receivers LastReceivers(const MessageView& message) const;

  // Offers what was gathered since Begin or the last Flush.
  void Flush();

  // Publishes a message of the broker's own, on any topic, to those who
  // subscribe to it now. It pauses nobody, is not retained, is not counted, and
  // leaves no trace if nobody subscribes. REQUIRES: all is flushed.
  void PublishOwn(const MessageFields& fields);

  // Takes a new snapshot of the subscriptions, because this chunk itself has
  // changed them and its next messages come after that change. REQUIRES:
  // everything is flushed.
  void Refresh();

  // Whether anybody would get a message on this topic now.
  bool HasSubscriber(std::string_view topic);
  // Whether it would be kept for those who come later, without asking for it.
  bool HasHistory(std::string_view topic);

  // What went through this router, by topic.
  struct TopicCount {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint64_t no_subscriber = 0;
    // The last few, in no order.
    absl::InlinedVector<uint64_t, 8> publishers = {};

    void Add(const TopicCount& other) {
      publishers.insert(publishers.end(), other.publishers.begin(),
                        other.publishers.end());
      messages += other.messages;
      bytes += other.bytes;
      no_subscriber += other.no_subscriber;
    }
  };
  // Calls visit(topic, count) for each topic that is remembered.
  template <typename Visitor>
  void CollectTopics(const Visitor& visit) const {
    MutexLock lock(routes_mutex_);
    for (const auto& [topic, route] : routes_) visit(topic, route.Count());
  }
  // The count of one topic; zeros if the topic is not remembered.
  TopicCount CountOf(std::string_view topic) const;

 private:
  struct Route {
    // The snapshot that `targets` was looked up in.
    uint64_t generation = 0;
    SubscriptionSnapshot::Egresses targets;
    bool has_taps = false;  // a target wants text or JSON
    size_t history = 0;
    bool may_retain = true;
    // The users that may publish; null: all. Lives as long as the snapshot.
    const Principals* allowed = nullptr;
    // The targets by kind.
    uint32_t sessions = 0;
    uint32_t taps = 0;
    Counter messages;
    Counter bytes;
    Counter no_subscriber;

    // Sessions that have published on it, the last few in a ring. To be changed
    // under routes_mutex_, by the worker.
    absl::InlinedVector<uint64_t, 8> publishers;
    size_t oldest_publisher = 0;

    TopicCount Count() const {
      return {messages.value(), bytes.value(), no_subscriber.value(),
              publishers};
    }
  };

  // Null if the topic is invalid.
  Route* FindRoute(std::string_view topic);
  void Resolve(std::string_view topic, Route& route);
  // Gathers the frames since the last change of topic.
  void EndRun();
  void AddToRun(std::string_view frame, uint64_t expiry_unix_nanos);
  void GatherRun();
  // The message has expired on its way here: its subscribers are told.
  void LoseExpired(std::string_view topic);
  void NotePublisher(Route& route);
  // Begins a run with the topic's route as of the current subscriptions.
  Outcome BeginRun(std::string_view topic);
  Outcome Retain(std::string_view frame, const MessageView& message);

  const BrokerOptions& options_;
  const SubscriptionTable& table_;
  Counters& counters_;
  RetainedStore* const store_;
  std::shared_ptr<const SubscriptionSnapshot> snapshot_;

  // Only the worker touches routes_, and it takes the lock only to add or
  // forget topics, so that others may walk it under the lock: a reader of the
  // map and the reading worker do not disturb each other. The analysis cannot
  // express this, hence no ABSL_GUARDED_BY.
  mutable Mutex routes_mutex_;
  absl::node_hash_map<std::string, Route> routes_;

  // The run: neighbouring frames of one topic.
  Route* run_route_ = nullptr;
  std::string run_topic_;
  Slice run_frames_;
  uint64_t run_messages_ = 0;
  uint64_t run_bytes_ = 0;

  PublisherId publisher_;

  // Since the last Flush.
  uint64_t published_ = 0;
  uint64_t no_subscriber_ = 0;

  // From the first message that is to be retained until Flush.
  std::optional<RetainedStore::Transaction> retaining_;
  bool last_retained_ = false;  // of those that asked for it

  FanOut fan_out_;
  FanOut own_fan_out_;
  const std::shared_ptr<Valve> no_valve_;  // of what the broker publishes
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_
