#ifndef FIFOBUS_CLIENTS_CPP_CLIENT_OPTIONS_H_
#define FIFOBUS_CLIENTS_CPP_CLIENT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "clients/cpp/owned_message.h"
#include "clients/cpp/start.h"
#include "proto/overflow.h"

// What a client may choose: for its session, and for each subscription.
namespace fifobus {

// How a client's calls wait, for publishing and receiving alike.
enum class Mode {
  kBlocking,     // wait until done, or until the call's deadline
  kNonBlocking,  // return at once; kWouldBlock says: not now
  kBusyPoll,     // Receive spins on the pipe, for the lowest latency, until its
                 // deadline; publishing is as in kNonBlocking
};

struct ClientOptions {
  // The bus directory. Empty: $FIFOBUS_DIR, or where a broker is found; see
  // BusCandidates.
  std::string dir;
  // For people: shown by `fifobus ls` and in the broker's log.
  std::string client_name = "client";
  Mode mode = Mode::kBlocking;
  // How long Connect waits for a broker, which may be started later.
  absl::Duration connect_timeout = absl::Seconds(5);
  // Whether to find the next broker when this one dies, to subscribe anew, and
  // to publish again what it had not read.
  bool reconnect = true;
  // Bound of what is read ahead while a call that is not Receive waits.
  size_t receive_bytes_max = size_t{64} << 20;

  // What the broker does when this client's queue has been full, and so has
  // held up publishers, for the stall timeout. Whatever is lost is announced by
  // a Gap. kDisconnect ends the client for good; a bus may refuse kBlock. Not
  // chosen, and no bounds either: what the bus's configuration says of the
  // first pattern, or drop the oldest.
  std::optional<Overflow> overflow;
  // Bounds of the queue that the broker keeps for this client. 0: the broker's
  // own; more than it allows becomes what it allows. See Client::Bounds.
  uint64_t queue_bytes_max = 0;
  uint64_t queue_messages_max = 0;

  // Not empty: the name under which logs remember what this client has stored,
  // one level of a topic. Its messages are numbered, from behind the highest
  // number that a log remembers, so that a log stores none of them twice. A
  // later client of the same name ends this one for good, with Aborted.
  std::string publisher;
  // With a publisher: messages that ask to be written or stored are kept, up to
  // so many bytes of their frames, until they are confirmed. A new session
  // sends them again, in order. At the bound Publish waits for confirmations.
  // 0: nothing is kept, and a lost session leaves its last messages unknown.
  size_t resend_bytes_max = 0;

  // Published by the broker when this client dies: when its session ends
  // without the destructor's Goodbye. With topic and payload it must be smaller
  // than what a new pipe holds: 32 KiB.
  std::optional<OwnedMessage> will;
};

// How the members of a group acknowledge. The same for all of them.
struct GroupAcks {
  // Messages that this member may hold without an answer. 0: one.
  uint32_t unacked_max = 0;
  // A message without an answer is delivered again after this, in whole
  // milliseconds. 0: the broker's default, 30 s.
  absl::Duration timeout = absl::ZeroDuration();
  // Deliveries of one message before it is given up: published on
  // $dead/GROUP. 0: the broker's own, 5.
  uint32_t deliveries_max = 0;

  friend bool operator==(const GroupAcks&, const GroupAcks&) = default;
};

struct SubscribeOptions {
  using Acks = GroupAcks;

  // Not the retained values of matching topics first.
  bool skip_retained = false;
  // Not empty: each message of the pattern goes to one of those who name the
  // same group, which is a single level of a topic.
  std::string group;
  // Only with a group: each message is to be answered with Ack or Retry.
  std::optional<Acks> acks;

  // Reads the pattern's messages out of the log that stores them, each with its
  // offset, from here on: what is there, and then what is stored. One log must
  // store all topics of the pattern. A client that reads the same topics by two
  // patterns is refused: it makes another client.
  std::optional<Start> start;
  // Not empty: the name of a durable reader, one level of a topic. The log
  // keeps its position, over sessions and brokers. The first Subscribe of the
  // name makes it, at `start` or at the first message; later only the position
  // counts. With a group, which then must acknowledge, its members share it.
  std::string durable;
  // Only with `start` and not durable: reads what is stored now, and ends with
  // ReceiveOutcome::kCaughtUp.
  bool until_now = false;
  // Of a durable reader without a group: the next Receive says that the message
  // before it is done. Else only Client::Done says so.
  bool auto_ack = true;

  bool reads_log() const { return start.has_value() || !durable.empty(); }

  friend bool operator==(const SubscribeOptions&,
                         const SubscribeOptions&) = default;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_CLIENT_OPTIONS_H_
