#ifndef FIFOBUS_BROKER_CORE_RETAINED_RETAINED_STORE_H_
#define FIFOBUS_BROKER_CORE_RETAINED_RETAINED_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/functional/function_ref.h"
#include "broker/base/mutex.h"
#include "broker/base/sparse_log.h"
#include "broker/core/retained/retained_value.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "proto/frame.h"

namespace fifobus {

class StateChunks;
namespace pb::state {
class RetainedTopic;
}  // namespace pb::state

// Told of a topic's newest value, under the store's lock: it must take no lock
// under which the store is used, and must not wait. Thread-safe.
class RetainedObserver {
 public:
  virtual ~RetainedObserver() = default;
  virtual void OnRetained(const std::string& topic,
                          const RetainedValue& newest) = 0;
  // The topic has no value any more.
  virtual void OnForgotten(const std::string& topic) = 0;
};

// The last message of each topic that was published with `retain`, or the last
// few of topics that a history rule names, for those who subscribe later. Own
// copies, bounded in number and bytes: what does not fit is delivered all the
// same, but not kept, and counted; and since no value is better than an old one
// that is taken for the newest, the topic's older values make room first.
//
// All use goes through a Transaction, which holds the one lock. A publisher's
// worker holds it from before subscriptions are looked up until the messages
// are offered, a subscriber's from before the replay until the subscription is
// in place. So each message is, for each subscriber,
// either replayed or live, never both and never neither.
//
// The lock is not a leaf: an egress's lock, the subscription table's and the
// observer's are taken under it, never the other way round.
//
// Thread-safe.
class RetainedStore {
 public:
  // Both must live as long as this.
  RetainedStore(const BrokerOptions& options, Counters& counters);

  // Not while anything else is used. Null: no observer.
  void SetObserver(RetainedObserver* observer) { observer_ = observer; }

  static constexpr size_t kForgottenAtOnce = 1024;  // not tuned

  // Topics with a value.
  size_t topics() const { return topics_count_.load(); }

  enum class Kept {
    kRetained,
    kCleared,  // an empty message with `retain`
    kRefused,  // no room
  };

  // While this lives, no other thread publishes to the store or subscribes.
  // Keep it short: other threads wait for it.
  class Transaction {
   public:
    explicit Transaction(RetainedStore& store);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    // `frame` is a whole Message frame and `message` what ReadMessage found in
    // it, without fault. `history`: how many of its topic are kept; 0 is 1.
    [[nodiscard]] Kept Keep(std::string_view frame, const MessageView& message,
                            size_t history);

    // Calls visit(topic, value) for what is kept of each topic that the pattern
    // matches, in the order of topics, oldest first; what has expired is
    // forgotten instead. `visit` must not use the store.
    using Visitor =
        absl::FunctionRef<void(const std::string&, const RetainedValue&)>;
    void Replay(std::string_view pattern, Visitor visit);

    // Forgets values that have expired, up to kForgottenAtOnce of them: so long
    // it makes others wait. Returns when the first of those that are left
    // expires, which may be now; 0: none does.
    uint64_t ForgetExpired();

    // What an upgrade takes over of each topic, in the order of topics.
    using ExportVisitor =
        absl::FunctionRef<void(pb::state::RetainedTopic state)>;
    void Export(StateChunks& chunks, ExportVisitor visit) const;
    // The observer is not told. REQUIRES: nothing is kept of the topic.
    void Restore(const pb::state::RetainedTopic& state,
                 const StateChunks& chunks);

   private:
    RetainedStore& store_;
  };

 private:
  using Values = std::deque<RetainedValue>;
  using Topics = std::map<std::string, Values, std::less<>>;

  Kept KeepValue(std::string_view frame, const MessageView& message,
                 size_t history) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a value of so many bytes fits in, as one of a new topic or not.
  bool HasRoom(bool new_topic, size_t bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetExpired(uint64_t now_unix_nanos)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes those of the topic's values that have expired; the topic itself if
  // none is left. Returns whether it is still there.
  bool RemoveExpired(Topics::iterator topic, uint64_t now_unix_nanos)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(Topics::iterator topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(Topics::iterator topic, RetainedValue value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The value is about to be removed.
  void Uncount(Topics::iterator topic, const RetainedValue& value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest(Topics::iterator topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountRefusal(std::string_view topic)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BrokerOptions& options_;
  Counters& counters_;
  RetainedObserver* observer_ = nullptr;
  const std::string delivery_;  // goes before each kept frame
  std::atomic<size_t> topics_count_{0};

  Mutex mutex_;
  Topics topics_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // The values that can expire: when, the topic's key, and a number that tells
  // those of one topic apart.
  using Expiry = std::tuple<uint64_t, const std::string*, uint64_t>;
  std::set<Expiry> expiries_ ABSL_GUARDED_BY(mutex_);
  uint64_t expiries_made_ ABSL_GUARDED_BY(mutex_) = 0;
  SparseLog refused_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_RETAINED_RETAINED_STORE_H_
