#ifndef FIFOBUS_BROKER_CORE_ROUTING_TOPIC_STATS_H_
#define FIFOBUS_BROKER_CORE_ROUTING_TOPIC_STATS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "broker/base/mutex.h"

namespace fifobus {

namespace pb::state {
class TopicStats;
}  // namespace pb::state

// What was published on one topic, or on several. Thread-compatible (plain
// data).
struct TopicSum {
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t no_subscriber = 0;
  uint64_t lines_refused = 0;  // of its tap; not published
  // Sessions that have published, the last few in no order; 0: a tap.
  std::vector<uint64_t> publishers = {};
};

// Counts what is published on one topic. Thread-safe: all workers add to it,
// without a lock.
class TopicCount {
 public:
  void Add(uint64_t messages, uint64_t bytes, uint64_t no_subscriber);

  void AddRefusedLines(uint64_t lines);

  // The session publishes now.
  void NotePublisher(uint64_t session);

  // All but the publishers.
  TopicSum sum() const;
  std::vector<uint64_t> publishers() const;
  // Those, the one that was noted first at the front.
  std::vector<uint64_t> PublishersByAge() const;

  // It is not the topic's count any more: ask TopicStats for that. What is
  // added all the same is not lost.
  bool forgotten() const { return forgotten_.load(std::memory_order_relaxed); }

 private:
  friend class TopicStats;
  static constexpr size_t kPublishersMax = 8;
  static constexpr uint64_t kNone = UINT64_MAX;

  std::atomic<uint64_t> messages_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> no_subscriber_{0};
  std::atomic<uint64_t> lines_refused_{0};
  // When it was used last, in ticks of TopicStats.
  std::atomic<uint64_t> last_used_{0};
  std::atomic<bool> forgotten_{false};
  // A ring; kNone: no session.
  std::array<std::atomic<uint64_t>, kPublishersMax> publishers_ = {
      kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  std::atomic<uint32_t> oldest_publisher_{0};
};

// Statistics by topic, of all workers together. Bounded: when there are too
// many topics, those that were idle for longest are forgotten, and counted in
// one sum. Topics of replies, of which each request makes one, have another sum
// and are not kept apart.
//
// Invariant: the topics and both sums together are all that was published.
//
// Thread-safe. The lock is taken when a worker meets a topic that its RouteTable
// does not know, not for messages.
class TopicStats {
 public:
  explicit TopicStats(size_t topics_max) : topics_max_(topics_max) {}

  // The topic's count, made if there is none. Keep it and use it.
  std::shared_ptr<TopicCount> Find(std::string_view topic);
  // To be called when the count is used: what was used last is forgotten last.
  void Touch(TopicCount& count) const {
    count.last_used_.store(tick_.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
  }

  // Of one topic; zeros if it is not known.
  TopicSum SumOf(std::string_view topic) const;
  // In no order. Under the lock: `visit` must take none.
  using Visitor = absl::FunctionRef<void(const std::string&, const TopicSum&)>;
  void Collect(Visitor visit) const;
  TopicSum replies() const { return replies_->sum(); }
  TopicSum forgotten() const;

  // What an upgrade takes over, while no worker counts.
  pb::state::TopicStats Export() const;
  // REQUIRES: nothing was counted.
  void Restore(const pb::state::TopicStats& state);

 private:
  using Topics = absl::flat_hash_map<std::string, std::shared_ptr<TopicCount>>;

  // Forgets an eighth of all topics, so that this costs little for each.
  void ForgetIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t topics_max_;
  const std::shared_ptr<TopicCount> replies_ = std::make_shared<TopicCount>();
  // Counts the topics that were made.
  std::atomic<uint64_t> tick_{0};

  mutable Mutex mutex_;
  Topics topics_ ABSL_GUARDED_BY(mutex_);
  // Forgotten, but a worker may still add to them.
  std::vector<std::shared_ptr<TopicCount>> leaving_ ABSL_GUARDED_BY(mutex_);
  TopicSum forgotten_ ABSL_GUARDED_BY(mutex_);  // the others
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_TOPIC_STATS_H_
