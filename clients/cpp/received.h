#ifndef FIFOBUS_CLIENTS_CPP_RECEIVED_H_
#define FIFOBUS_CLIENTS_CPP_RECEIVED_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "proto/frame.h"

// What a client's Receive and its publishing calls return.
namespace fifobus {

enum class PublishOutcome {
  // The bytes are in the pipe; or, in an open Batch, will be at its Flush; or,
  // not blocking, their rest follows by itself at later calls.
  kSent,
  // As kSent, but an earlier session was lost, and with it perhaps messages
  // before this one that its broker had read. How many is not known, but for
  // Client::lost_messages. Those that it had not read are not lost. Told once.
  kSentAfterGap,
  // Not blocking: the pipe is full, or there is no broker now. Nothing was
  // taken.
  kWouldBlock,
  // The deadline came. Nothing was taken.
  kTimedOut,
  // The message is invalid or larger than the bus takes, or too many answers
  // are awaited; see status().
  kRefused,
  // There is no session and none will be made; see status().
  kDisconnected,
};

// What became of a request that Receive will return the reply of.
struct SentRequest {
  PublishOutcome outcome = PublishOutcome::kRefused;
  uint64_t request_id = 0;  // if kSent or kSentAfterGap
};

enum class ReceiveOutcome {
  kMessage,
  kGap,           // messages were lost at this point of the stream
  kConfirmation,  // of a message that was published with a confirm_id
  kCaughtUp,      // what was stored when a subscription was made has come
  kReply,         // a request is over: answered or not, see reply_outcome
  kWouldBlock,    // not blocking: there is none now
  kTimedOut,      // the deadline came
  kDisconnected,  // there is no session and none will be made; see status()
};

enum class GapReason {
  kUnknown,       // of a newer broker
  kOverflow,      // this client was slower than the publishers
  kReconnected,   // the broker died or was restarted; the number is unknown
  kConflated,     // Overflow::kLatest: newer messages took their places
  kExpired,       // they were not delivered before their expiry
  kDisconnected,  // Overflow::kDisconnect: they were queued at the end
  kTrimmed,       // the log did not keep them until they were read
  kDamaged,       // they were stored, and the disk has damaged them
};

// "overflow", "reconnected"...
std::string_view GapReasonText(GapReason reason);

// Messages that were lost for this subscriber, told between those before and
// those after them.
struct Gap {
  struct Loss {
    std::string topic;
    uint64_t messages = 0;
  };
  GapReason reason = GapReason::kUnknown;
  uint64_t messages = 0;  // in all; 0: unknown
  // By topic, at most 64 topics. Valid until the next Receive.
  absl::Span<const Loss> losses;
};

// How far a message has got. The numbers are those of frame.proto.
enum class Level {
  kNone = 0,      // not known to have arrived: its session was lost before
  kAccepted = 1,  // the broker has taken it for each current subscriber; it is
                  // lost if the broker dies
  kWritten = 2,   // and it is in the file of its log: it survives the broker
  kStored = 3,    // and that file is on disk: it survives the machine
};

// As MessageFields::confirm_level has it.
constexpr uint32_t LevelInFrame(Level level) {
  return static_cast<uint32_t>(level);
}

// Why a message that was to be written or stored is not.
enum class ConfirmFailure {
  kNone,
  kNoLog,              // no log stores its topic
  kLogFailed,          // the broker's log says why
  kTooManyPublishers,  // the log remembers no more names
  kUnknown,            // of a newer broker
};

// One clause for people, "no log stores its topic". Empty for kNone.
std::string_view ConfirmFailureText(ConfirmFailure failure);

// The answer to a message with a confirm_id.
struct Confirmation {
  uint64_t confirm_id = 0;
  Level level = Level::kNone;
  uint32_t sessions = 0;  // that take it, each group counting as one
  uint32_t taps = 0;
  bool retained = false;  // it is its topic's retained value, or cleared it
  // Why the level is lower than the one that was asked for.
  ConfirmFailure failure = ConfirmFailure::kNone;
  // The log had the message already: it is there once.
  bool duplicate = false;
  // The place of the message in its log, from 1. 0: it is in none, or, of a
  // duplicate, the place is not known.
  uint64_t offset = 0;
};

// What a log has of a publisher.
struct StoredMark {
  std::string log;
  uint64_t last_sequence = 0;
  uint64_t last_offset = 0;  // that of this message
};

// A subscription that reads a log has come to the end of what was there when it
// was made. With SubscribeOptions::until_now that ends it.
struct CaughtUp {
  std::string_view pattern;  // valid until the next Receive
  uint64_t next_offset = 0;  // all before it was read
};

// How far a subscription that reads a log has come.
struct ReadPosition {
  std::string log;
  // Receive has returned all before it; at first, where the reading begins.
  uint64_t next_offset = 0;
};

enum class ReplyOutcome {
  kAnswered,
  kNoResponders,  // nobody was subscribed to the request's topic
  kTimedOut,
  kUnknown,  // the session was lost: it may have been worked on, or not
};

struct Received {
  // Not defaulted, as MessageView's.
  Received() {}  // NOLINT(modernize-use-equals-default)
  // A message in its frame. `member` is what ReadFrame found in it.
  Received(std::string_view whole_frame, std::string_view member)
      : outcome(ReceiveOutcome::kMessage),
        message(ReadMessage(member)),
        frame(whole_frame) {}

  ReceiveOutcome outcome = ReceiveOutcome::kWouldBlock;
  // If kMessage, or kReply that was answered. Its views are valid until the
  // next Receive; so they may be published, or replied with.
  MessageView message;
  // The message's whole frame, prefix included, for passing it on as it is.
  std::string_view frame;
  // What the broker says about the message: that it is a retained value, that
  // it is to be acknowledged (see Client::Ack), where it is in its log and when
  // it was stored there.
  DeliveryView delivery;
  // The subscription that has read it out of a log, for Client::Done; 0: none.
  uint64_t subscription = 0;
  // If kGap.
  Gap gap;
  // If kConfirmation.
  Confirmation confirmation;
  // If kCaughtUp.
  CaughtUp caught_up;
  // If kReply: what SendRequest returned, and how it ended.
  uint64_t request_id = 0;
  ReplyOutcome reply_outcome = ReplyOutcome::kAnswered;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_RECEIVED_H_
