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
    VisitAll(*this, [&](const char* name, const Counter& counter) {
      visit(name, counter.value());
    });
  }
  // Calls visit(name, counter) for each.
  template <typename Visitor>
  void ForEachCounter(Visitor visit) {
    VisitAll(*this, visit);
  }

 private:
  template <typename Self, typename Visitor>
  static void VisitAll(Self& self, Visitor visit) {
    visit("sessions_opened", self.sessions_opened);
    visit("sessions_closed", self.sessions_closed);
    visit("sessions_refused", self.sessions_refused);
    visit("messages_published", self.messages_published);
    visit("messages_no_subscriber", self.messages_no_subscriber);
    visit("messages_dropped", self.messages_dropped);
    visit("messages_conflated", self.messages_conflated);
    visit("messages_expired", self.messages_expired);
    visit("messages_redelivered", self.messages_redelivered);
    visit("messages_dead_lettered", self.messages_dead_lettered);
    visit("messages_abandoned", self.messages_abandoned);
    visit("messages_taken_along", self.messages_taken_along);
    visit("frames_refused", self.frames_refused);
    visit("frames_torn", self.frames_torn);
    visit("lines_refused", self.lines_refused);
    visit("egress_stalls", self.egress_stalls);
    visit("names_refused", self.names_refused);
    visit("messages_not_retained", self.messages_not_retained);
    visit("retained_write_errors", self.retained_write_errors);
    visit("wills_published", self.wills_published);
    visit("messages_stored", self.messages_stored);
    visit("messages_duplicate", self.messages_duplicate);
    visit("messages_not_stored", self.messages_not_stored);
    visit("messages_resent", self.messages_resent);
    visit("sessions_fenced", self.sessions_fenced);
  }
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_COUNTERS_H_
