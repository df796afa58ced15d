#ifndef FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_
#define FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "broker/base/sparse_log.h"
#include "broker/base/thread_rule.h"
#include "broker/core/logs/log_gather.h"
#include "broker/core/logs/named_publisher.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/fan_out.h"
#include "broker/core/routing/route_table.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/core/routing/topic_stats.h"
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
  // Of a session with a publisher's name; null: none.
  NamedPublisher* named = nullptr;
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
// the first such message until Flush: see RetainedStore. What a log stores is
// appended to it by Flush, behind the offers. The others pay for both with
// flags that are looked at.
//
// One for each worker. Worker-affine, asserted.
class Router {
 public:
  // All must live as long as this. `staging` may be null: see FanOut. Without a
  // store nothing is retained.
  Router(const BrokerOptions& options, const SubscriptionTable& table,
         Counters& counters, TopicStats& stats, Staging* staging = nullptr,
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
    kDenied,      // the user may not publish on this topic
    kRepeated,    // the log has it: it was neither routed nor stored again
    kNoSequence,  // a named publisher counts what a log stores
  };

  // `frame` is a whole Message frame in the chunk, prefix included, and
  // `message` what ReadMessage found in it, without fault.
  [[nodiscard]] Outcome Add(std::string_view frame, const MessageView& message);

  // As Add, for a frame that differs from the one that was added last in its
  // payload's bytes only, and has no fields but topic and payload. False:
  // nothing was done, Add must be asked.
  [[nodiscard]] bool AddRepeated(std::string_view frame, size_t payload_bytes);

  // The receivers of the message that was added last, which is passed again.
  // REQUIRES: it was routed or a repeat, and not flushed yet.
  struct Receivers {
    uint32_t sessions = 0;
    uint32_t taps = 0;
    bool retained = false;     // or has cleared what was retained
    ServedLog* log = nullptr;  // that stores the topic
    // Which message of which of log_batches(). Nothing: none, because it is a
    // repeat or has expired.
    struct Place {
      size_t batch = 0;
      uint32_t index = 0;
    };
    std::optional<Place> place;
  };
  Receivers LastReceivers(const MessageView& message) const;

  // Offers what was gathered since Begin or the last Flush, and appends to the
  // logs what they store.
  void Flush();

  // What the last Flush appended. Valid until the next Add.
  absl::Span<const LogGather::Batch> log_batches() const {
    return logs_.batches();
  }

  // Publishes a message of the broker's own, on any topic, to those who
  // subscribe to it now. It pauses nobody, is not retained, is not counted, and
  // leaves no trace if nobody subscribes and no log stores it. One that is
  // larger than a frame may be is logged instead. REQUIRES: all is flushed.
  void PublishOwn(const MessageFields& fields);

  // Counts lines of the topic's tap that are not published. Takes a lock.
  void CountRefusedLines(std::string_view topic, uint64_t lines);

  // The publisher of the rest of the chunk has a name. REQUIRES: everything is
  // flushed.
  void SetNamed(NamedPublisher* named) { publisher_.named = named; }

  // Takes a new snapshot of the subscriptions, because this chunk itself has
  // changed them and its next messages come after that change. REQUIRES:
  // everything is flushed.
  void Refresh();

  // Whether anybody would get a message on this topic now.
  bool HasSubscriber(std::string_view topic);
  // Whether it would be kept for those who come later, without asking for it: in
  // a history or in a log.
  bool IsKept(std::string_view topic);

 private:
  // Gathers the frames since the last change of topic.
  void EndRun();
  // What costs more: a message that is to be retained, or of a named publisher
  // on a topic with a log.
  Outcome AddSpecial(std::string_view frame, const MessageView& message,
                     bool expired);
  void AddToRun(std::string_view frame, uint64_t expiry_unix_nanos);
  void GatherRun();
  // The message has expired on its way here: its subscribers are told.
  void LoseExpired(std::string_view topic);
  void LogTooLarge(std::string_view topic);
  // Begins a run with the topic's route as of the current subscriptions.
  Outcome BeginRun(std::string_view topic);
  // Takes the store's lock, and begins the run anew as of then.
  Outcome BeginRetaining(std::string_view topic);
  Outcome AdmitNamed(uint64_t sequence, bool expired);
  void AppendToLogs();
  void StoreOwn(const Slice& frame, ServedLog& log);

  const ThreadRule thread_rule_;
  const size_t frame_bytes_max_;
  const SubscriptionTable& table_;
  Counters& counters_;
  RetainedStore* const store_;
  std::shared_ptr<const SubscriptionSnapshot> snapshot_;

  TopicStats& stats_;
  RouteTable routes_;

  // The run: neighbouring frames of one topic.
  Route* run_route_ = nullptr;
  std::string run_topic_;
  Slice run_frames_;
  uint64_t run_messages_ = 0;
  uint64_t run_bytes_ = 0;
  size_t run_batch_ = 0;         // of logs_, if the route has a log
  bool run_is_special_ = false;  // AddSpecial is for all of its messages
  bool run_repeats_ = false;     // AddRepeated is for those that are such
  bool last_is_stored_ = false;

  PublisherId publisher_;
  SparseLog own_too_large_;
  SparseLog own_not_stored_;

  // Since the last Flush.
  uint64_t published_ = 0;
  uint64_t no_subscriber_ = 0;

  // From the first message that is to be retained until Flush.
  std::optional<RetainedStore::Transaction> retaining_;
  bool last_retained_ = false;  // of those that asked for it

  FanOut fan_out_;
  FanOut own_fan_out_;
  LogGather logs_;
  LogGather own_logs_;
  const std::shared_ptr<Valve> no_valve_;  // of what the broker publishes
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_ROUTER_H_
