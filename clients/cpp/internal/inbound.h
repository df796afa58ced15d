#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_INBOUND_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_INBOUND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/ack_ids.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/internal/positions.h"
#include "clients/cpp/internal/receive_buffer.h"
#include "clients/cpp/received.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

namespace fifobus {

// A client's way out of `down`: one event after the other, in their order. A
// message is taken together with the Delivery before it, or not yet. A message
// that has expired by then becomes part of a gap at its place. When a session
// has ended, first comes what it brought, then what was lost with it, then what
// the next one brings. Thread-compatible.
class Inbound {
 public:
  // `dialogue` must outlive it.
  explicit Inbound(Dialogue& dialogue) : dialogue_(dialogue) {}

  // See Client.
  Received Receive(const Patience& patience);

  // See Client.
  uint64_t restarts() const { return restarts_; }

  // Answers a message by the ack id that Receive has shown. Does nothing if
  // that came in another session.
  void Answer(uint64_t ack_id, AckVerdict verdict);
  // What was received is done, and what came before it from the same reader of
  // a log.
  void Done(const Received& received);

 private:
  // All that the child of a fork is told.
  static Received EndOfChild();
  Received NextEvent(const Patience& patience);
  // Reads, and waits as it may, until there is an event or none will come.
  Received AwaitEvent(const Patience& patience);
  // The next event that was read already; kWouldBlock: none.
  Received TakeBuffered();
  Received TakeFrom(ReceiveBuffer& buffer);
  // The same for a frame that does not repeat the one before.
  Received TakeFrame(ReceiveBuffer& buffer);
  // The next event that a session's end brought about; kWouldBlock: none.
  Received TakeEnd();
  // The next confirmation that will never come; kWouldBlock: none.
  Received TakeLostConfirm(uint64_t session);
  // A request that is over without an answer; kWouldBlock: none.
  Received TakeFailure();

  // Whether the message behind the Delivery at the front is there as well. If
  // not, or if it never will be, the Delivery is not taken.
  enum class Pair { kWhole, kPartial };
  Pair CheckPair(ReceiveBuffer& buffer, std::string_view behind,
                 size_t delivery_bytes);
  DeliveryView Show(DeliveryView delivery);
  Received GapOf(std::string_view member);
  std::optional<Received> ConfirmationOf(std::string_view member);
  std::optional<Received> CaughtUpOf(std::string_view member);
  // Notes what was read out of a log.
  using Fate = Positions::Taken::Fate;
  [[nodiscard]] Fate Note(Received& message);
  // What a message that was taken is to the program: itself, the reply that
  // it waits for, a gap, or nothing.
  std::optional<Received> EventOf(const Received& message,
                                  ReceiveBuffer& buffer);
  std::optional<Received> ReplyOf(const Received& message);
  // Takes those behind `first` along that have expired too.
  Received GapOfExpired(const Received& first, ReceiveBuffer& buffer);
  // The message at the front, with its Delivery, if it has expired.
  std::optional<Received> TakeExpired(ReceiveBuffer& buffer);
  void PassOver(const Received& expired);

  Dialogue& dialogue_;
  AckIds ack_ids_;
  std::vector<Gap::Loss> losses_;  // of the last gap
  std::string caught_up_;          // the last pattern that was
  uint64_t ends_told_ = 0;
  uint64_t losses_told_ = 0;
  uint64_t restarts_ = 0;
  // When `down` was last looked into while requests were open.
  Deadline looked_ = -absl::InfiniteDuration();
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_INBOUND_H_
