#ifndef FIFOBUS_BROKER_COUNTERS_H_
#define FIFOBUS_BROKER_COUNTERS_H_

#include <atomic>
#include <cstdint>
#include <string_view>

namespace fifobus {

// A number that only grows. Thread-safe; relaxed, because nothing else is
// concluded from it.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// What one broker counts over all its parts. Shown by `fifobus ls`.
// Thread-safe.
struct Counters {
  Counter sessions_opened;
  Counter sessions_closed;
  Counter sessions_refused;
  Counter messages_published;
  Counter messages_no_subscriber;
  Counter messages_dropped;  // by overflow, of all policies but kLatest
  Counter messages_conflated;
  Counter messages_expired;
  // Of queue groups: delivered once more, given up, and lost with their group.
  Counter messages_redelivered;
  Counter messages_dead_lettered;
  Counter messages_abandoned;
  // Of queue groups without acks: lost with a member that left or died, as far
  // as is known.
  Counter messages_taken_along;
  Counter frames_refused;
  Counter frames_torn;
  Counter lines_refused;
  Counter egress_stalls;
  Counter names_refused;
  Counter messages_not_retained;
  Counter retained_write_errors;
  Counter wills_published;
  // Taken by a log; repeats of named publishers, which were neither stored nor
  // delivered again; delivered only, because the log took nothing.
  Counter messages_stored;
  Counter messages_duplicate;
  Counter messages_not_stored;
  // Published again, as their clients say in Hello, because a broker before this
  // one had died with them unread.
  Counter messages_resent;
  // Sessions that lost a publisher's or a durable reader's name to a newer one.
  Counter sessions_fenced;

  // Calls visit(name, value) for each.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    visit("sessions_opened", sessions_opened.value());
    visit("sessions_closed", sessions_closed.value());
    visit("sessions_refused", sessions_refused.value());
    visit("messages_published", messages_published.value());
    visit("messages_no_subscriber", messages_no_subscriber.value());
    visit("messages_dropped", messages_dropped.value());
    visit("messages_conflated", messages_conflated.value());
    visit("messages_expired", messages_expired.value());
    visit("messages_redelivered", messages_redelivered.value());
    visit("messages_dead_lettered", messages_dead_lettered.value());
    visit("messages_abandoned", messages_abandoned.value());
    visit("messages_taken_along", messages_taken_along.value());
    visit("frames_refused", frames_refused.value());
    visit("frames_torn", frames_torn.value());
    visit("lines_refused", lines_refused.value());
    visit("egress_stalls", egress_stalls.value());
    visit("names_refused", names_refused.value());
    visit("messages_not_retained", messages_not_retained.value());
    visit("retained_write_errors", retained_write_errors.value());
    visit("wills_published", wills_published.value());
    visit("messages_stored", messages_stored.value());
    visit("messages_duplicate", messages_duplicate.value());
    visit("messages_not_stored", messages_not_stored.value());
    visit("messages_resent", messages_resent.value());
    visit("sessions_fenced", sessions_fenced.value());
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_COUNTERS_H_
