#include "broker/core/routing/topic_stats.h"

#include <algorithm>
#include <utility>

#include "broker/state/shared_state.pb.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

void AddTo(TopicSum& sum, const TopicSum& other) {
  sum.messages += other.messages;
  sum.bytes += other.bytes;
  sum.no_subscriber += other.no_subscriber;
  sum.lines_refused += other.lines_refused;
}

pb::state::TopicSum ExportSum(const TopicSum& sum) {
  pb::state::TopicSum state;
  state.set_messages(sum.messages);
  state.set_bytes(sum.bytes);
  state.set_no_subscriber(sum.no_subscriber);
  state.set_lines_refused(sum.lines_refused);
  return state;
}

// Into a count of which nobody else knows.
template <typename Publishers>
void RestoreCount(const pb::state::TopicSum& sum, const Publishers& publishers,
                  TopicCount& count) {
  count.Add(sum.messages(), sum.bytes(), sum.no_subscriber());
  count.AddRefusedLines(sum.lines_refused());
  for (const uint64_t session : publishers) count.NotePublisher(session);
}

}  // namespace

void TopicCount::Add(uint64_t messages, uint64_t bytes,
                     uint64_t no_subscriber) {
  messages_.fetch_add(messages, std::memory_order_relaxed);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (no_subscriber == 0) return;
  no_subscriber_.fetch_add(no_subscriber, std::memory_order_relaxed);
}

void TopicCount::AddRefusedLines(uint64_t lines) {
  lines_refused_.fetch_add(lines, std::memory_order_relaxed);
}

void TopicCount::NotePublisher(uint64_t session) {
  for (const std::atomic<uint64_t>& known : publishers_) {
    if (known.load(std::memory_order_relaxed) == session) return;
  }
  // Two workers that note the same session at once note it twice: a listing
  // shows it once.
  const uint32_t at = oldest_publisher_.fetch_add(1, std::memory_order_relaxed);
  publishers_[at % kPublishersMax].store(session, std::memory_order_relaxed);
}

TopicSum TopicCount::sum() const {
  TopicSum sum;
  sum.messages = messages_.load(std::memory_order_relaxed);
  sum.bytes = bytes_.load(std::memory_order_relaxed);
  sum.no_subscriber = no_subscriber_.load(std::memory_order_relaxed);
  sum.lines_refused = lines_refused_.load(std::memory_order_relaxed);
  return sum;
}

std::vector<uint64_t> TopicCount::publishers() const {
  std::vector<uint64_t> publishers;
  for (const std::atomic<uint64_t>& each : publishers_) {
    const uint64_t session = each.load(std::memory_order_relaxed);
    if (session != kNone) publishers.push_back(session);
  }
  std::sort(publishers.begin(), publishers.end());
  publishers.erase(std::unique(publishers.begin(), publishers.end()),
                   publishers.end());
  return publishers;
}

std::vector<uint64_t> TopicCount::PublishersByAge() const {
  std::vector<uint64_t> publishers;
  const uint32_t oldest = oldest_publisher_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < kPublishersMax; ++i) {
    const uint64_t session = publishers_[(oldest + i) % kPublishersMax].load(
        std::memory_order_relaxed);
    if (session != kNone) publishers.push_back(session);
  }
  return publishers;
}

std::shared_ptr<TopicCount> TopicStats::Find(std::string_view topic) {
  if (IsReplyTopic(topic)) return replies_;
  MutexLock lock(mutex_);
  const auto known =
      topics_.find(absl::string_view(topic.data(), topic.size()));
  if (known != topics_.end()) return known->second;
  if (topics_.size() >= topics_max_) ForgetIdle();
  auto count = std::make_shared<TopicCount>();
  tick_.fetch_add(1, std::memory_order_relaxed);
  Touch(*count);
  topics_.emplace(topic, count);
  return count;
}

void TopicStats::ForgetIdle() {
  std::vector<std::pair<uint64_t, Topics::iterator>> by_use;
  by_use.reserve(topics_.size());
  for (auto topic = topics_.begin(); topic != topics_.end(); ++topic) {
    by_use.emplace_back(topic->second->last_used_.load(), topic);
  }
  const size_t count = std::max<size_t>(1, by_use.size() / 8);
  const auto end = by_use.begin() + static_cast<ptrdiff_t>(count);
  std::nth_element(
      by_use.begin(), end - 1, by_use.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto each = by_use.begin(); each != end; ++each) {
    each->second->second->forgotten_.store(true);
    leaving_.push_back(std::move(each->second->second));
    topics_.erase(each->second);
  }
  // No worker adds to a count any more of which this is the last reference.
  std::erase_if(leaving_, [this](const std::shared_ptr<TopicCount>& each) {
    mutex_.AssertHeld();  // the analysis does not look into lambdas
    if (each.use_count() > 1) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    AddTo(forgotten_, each->sum());
    return true;
  });
}

TopicSum TopicStats::SumOf(std::string_view topic) const {
  MutexLock lock(mutex_);
  const auto known =
      topics_.find(absl::string_view(topic.data(), topic.size()));
  if (known == topics_.end()) return {};
  TopicSum sum = known->second->sum();
  sum.publishers = known->second->publishers();
  return sum;
}

void TopicStats::Collect(Visitor visit) const {
  MutexLock lock(mutex_);
  for (const auto& [topic, count] : topics_) {
    TopicSum sum = count->sum();
    sum.publishers = count->publishers();
    visit(topic, sum);
  }
}

pb::state::TopicStats TopicStats::Export() const {
  pb::state::TopicStats state;
  *state.mutable_forgotten() = ExportSum(forgotten());
  *state.mutable_replies() = ExportSum(replies_->sum());
  for (const uint64_t session : replies_->PublishersByAge()) {
    state.add_reply_publishers(session);
  }
  state.set_tick(tick_.load());
  MutexLock lock(mutex_);
  state.mutable_topics()->Reserve(static_cast<int>(topics_.size()));
  for (const auto& [topic, count] : topics_) {
    pb::state::TopicStats::Topic& one = *state.add_topics();
    one.set_name(topic);
    *one.mutable_sum() = ExportSum(count->sum());
    one.set_last_used(count->last_used_.load());
    for (const uint64_t session : count->PublishersByAge()) {
      one.add_publishers(session);
    }
  }
  return state;
}

void TopicStats::Restore(const pb::state::TopicStats& state) {
  RestoreCount(state.replies(), state.reply_publishers(), *replies_);
  tick_.store(state.tick());
  MutexLock lock(mutex_);
  forgotten_ = {state.forgotten().messages(), state.forgotten().bytes(),
                state.forgotten().no_subscriber(),
                state.forgotten().lines_refused()};
  topics_.reserve(static_cast<size_t>(state.topics_size()));
  for (const pb::state::TopicStats::Topic& one : state.topics()) {
    auto count = std::make_shared<TopicCount>();
    RestoreCount(one.sum(), one.publishers(), *count);
    count->last_used_.store(one.last_used());
    topics_.emplace(one.name(), std::move(count));
  }
}

TopicSum TopicStats::forgotten() const {
  MutexLock lock(mutex_);
  TopicSum sum = forgotten_;
  for (const std::shared_ptr<TopicCount>& each : leaving_) {
    AddTo(sum, each->sum());
  }
  return sum;
}

}  // namespace fifobus
