#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_POSITIONS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_POSITIONS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cpp/internal/subscriptions.h"

namespace fifobus {

// How far a client has read the logs, for those of its subscriptions that read
// one without a group. Their patterns do not overlap, so that the topic of a
// message says which of them brought it.
//
//   next_offset   behind what Receive has returned last. The next session goes
//                 on there, unless the broker keeps the position itself.
//   done_offset   of a durable reader: what the program is done with. The call
//                 of Receive after a message says so of it, or Done.
//   acked_offset  what the broker was told of that in this session.
//
// Not here: sending. Thread-compatible.
class Positions {
 public:
  using Subscription = Subscriptions::Subscription;

  // `subscriptions` must outlive it.
  explicit Positions(Subscriptions& subscriptions)
      : subscriptions_(subscriptions) {}

  // `subscription` is made. `unread` messages out of logs are still to be taken
  // that came before, and so are not of it.
  void OnSubscribed(Subscription& subscription, uint64_t unread) {
    subscription.unread_before = unread;
  }
  // Before it is removed.
  void OnRemove(const Subscription* subscription);
  // All acknowledgements of the session before may be lost.
  void OnSessionBegun();

  // A message that was read out of a log is taken.
  struct Taken {
    enum class Fate { kNew, kRepeated };
    // kRepeated: a session before has brought it.
    Fate fate = Fate::kNew;
    uint64_t subscription = 0;  // its number; 0: it is not known any more
  };
  [[nodiscard]] Taken OnTaken(std::string_view topic, uint64_t offset);

  // Whether OnReceive has something to do.
  bool has_taken() const { return taken_ != nullptr; }
  // The program asks for the next, and so is done with what was taken last.
  void OnReceive();
  // Says it of all of this subscription up to the offset.
  void OnDone(uint64_t subscription, uint64_t offset);

  bool has_acks() const { return has_acks_; }
  // Whether the broker was told something in this session.
  bool HasAcked() const;
  // Appends what the broker is to be told. REQUIRES: the session is open.
  void AppendAcks(std::string& out);

 private:
  Subscription* Find(std::string_view topic);
  void SetDone(Subscription& subscription, uint64_t offset);

  Subscriptions& subscriptions_;
  Subscription* taken_ = nullptr;  // whose message was taken last
  bool has_acks_ = false;
};

// How many of these frames are Deliveries of a log's message without an ack id.
// The last frame may be a part.
uint64_t CountReadMessages(std::string_view frames);

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_POSITIONS_H_
