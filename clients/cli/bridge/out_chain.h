#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_OUT_CHAIN_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_OUT_CHAIN_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/message_id.h"
#include "clients/cli/bridge/nats_message.h"

namespace fifobus::bridge {

// A message of a log on its way into a stream.
struct OutMessage {
  uint64_t offset = 0;
  uint64_t stored_unix_nanos = 0;
  NatsMessage message;
};

// Brings messages of one log into one stream, each once and in order. It decides
// what is sent, and what is done; it sends nothing itself.
//
// Each message says which sequence the stream must end with for it to be taken:
// Nats-Expected-Last-Sequence. So what is sent is a chain. A link that is lost, or
// that comes twice, or late, from a connection that is no more, breaks the chain,
// and all behind it are refused. Then the stream is asked for its end and the last
// message of the log in it, and the chain goes on behind that one: a new round.
// The stream's window for duplicates does not matter, and no outage is too long.
// An end before what was acknowledged tells that the stream has lost that.
// (Nats-Expected-Last-Msg-Id would do the same, but a server that was restarted
// has forgotten the id if the last message is older than that window.)
//
// With `shared`, other programs write to the stream, and so nothing is expected:
// a round begins with the first message that is not acknowledged, and the
// stream drops what it has by Nats-Msg-Id, if it still knows that.
//
// Invariant: what is done <= what the stream has acknowledged or holds.
// Thread-compatible.
class OutChain {
 public:
  struct Limits {
    size_t messages = 0;
    size_t bytes = 0;
  };
  OutChain(std::string origin, std::string durable, bool shared, Limits limits);

  // --- What is read from the log.

  bool HasRoom() const {
    return entries_.size() < limits_.messages && bytes_ < limits_.bytes;
  }
  enum class Taken {
    kTaken,
    kHadBefore,  // in this chain, or the stream has it
    kOtherLog,   // the log is not the one that the stream has messages of
  };
  // In the order of the log, but again from any offset on. REQUIRES: HasRoom().
  [[nodiscard]] Taken Take(OutMessage message);
  // A message that is not sent.
  void Pass(uint64_t offset);
  // The log has nothing below this offset that was not given. kOtherLog or
  // kTaken.
  [[nodiscard]] Taken OnLogEnd(uint64_t next_offset);
  // After kOtherLog: the log was made anew, and is read again from the reader's
  // position, as one that the stream has nothing of.
  void BeginNewLog();

  // --- What is sent.

  // Begins a round: what was sent is not known to have arrived. Nothing is sent
  // until the stream's end is known.
  void BeginRound();
  uint64_t round() const { return round_; }
  enum class [[nodiscard]] EndOutcome{
      kGoesOn,
      kLost,  // the stream lost what it had acknowledged, all behind `last`: the
              // log is to be read again from there, and a new round begun
  };
  // The last message of this log in the stream, if there is one.
  EndOutcome OnStreamEnd(uint64_t last_sequence,
                         const std::optional<MessageId>& last);

  // The next message to send, with its headers; nothing: none now.
  std::optional<std::pair<uint64_t, NatsMessage>> NextToSend();

  enum class AckResult {
    kGood,
    kStale,     // of an older round
    kTooLarge,  // TakeRefused has it; a new round is needed
    kBroken,    // a new round is needed
  };
  // The answer to the message of this offset, sent in this round.
  [[nodiscard]] AckResult OnAck(uint64_t round, uint64_t offset,
                                const PubAck& ack);
  // Takes a message out that the stream will never take.
  std::optional<OutMessage> TakeRefused(uint64_t offset);

  // --- What has come of it.

  // Everything up to here is done; 0: nothing yet. What was passed over because
  // the stream has it counts when the log is known to be the same.
  uint64_t done_offset() const;
  // Sent in this round, and not acknowledged.
  size_t in_flight() const { return sent_; }
  size_t held() const { return entries_.size(); }
  uint64_t stored() const { return stored_; }
  uint64_t resent() const { return resent_; }
  uint64_t duplicates() const { return duplicates_; }

 private:
  struct Entry {
    OutMessage out;
    bool acked = false;  // only if shared_
    bool was_sent = false;
  };

  void PopFront();
  void GoBackTo(uint64_t last_sequence, const MessageId& last);
  // Whether a message proves that the log is another one than resume_ is of.
  bool IsOfOtherLog(uint64_t offset, uint64_t stored_unix_nanos) const;
  AckResult OnStored(uint64_t offset, const PubAck& ack);
  std::deque<Entry>::iterator Find(uint64_t offset);

  const std::string origin_;
  const std::string durable_;
  const bool shared_;
  const Limits limits_;

  std::deque<Entry> entries_;
  size_t bytes_ = 0;
  size_t sent_ = 0;  // of entries_, from the front, in this round
  // The sequence that the stream has for what is before the front.
  uint64_t front_sequence_ = 0;
  bool end_is_known_ = false;
  uint64_t round_ = 0;
  // What the stream has acknowledged last, or had at its end.
  uint64_t acked_sequence_ = 0;
  uint64_t acked_offset_ = 0;
  // Of this log the stream has everything up to this message, unless the log
  // turns out to be another one. Reset when that is decided.
  std::optional<MessageId> resume_;
  // What was done when resume_ was set.
  uint64_t done_before_resume_ = 0;
  // Of a log that was made anew: when its first message was stored. Older ids are
  // of the log before.
  bool log_is_new_ = false;
  uint64_t first_stored_ = 0;

  uint64_t seen_offset_ = 0;  // taken or passed last
  uint64_t seen_stored_ = 0;
  uint64_t stored_ = 0;
  uint64_t resent_ = 0;
  uint64_t duplicates_ = 0;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_OUT_CHAIN_H_
