#ifndef FIFOBUS_CLIENTS_CPP_CLIENT_H_
#define FIFOBUS_CLIENTS_CPP_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/client_options.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/owned_message.h"
#include "clients/cpp/received.h"
#include "proto/frame.h"
#include "proto/frame_writer.h"

// A fifobus client.
//
//   auto client = fifobus::Client::Connect({});
//   if (!client.ok()) ...                          // says what to do
//   (void)(*client)->Subscribe("sensors/**");
//   (void)(*client)->Publish("sensors/kitchen/temp", "21.5");
//   fifobus::Received got = (*client)->Receive();
//   if (got.outcome == fifobus::ReceiveOutcome::kMessage)
//     std::cout << got.message.topic << ": " << got.message.payload << "\n";
namespace fifobus {

class ConfirmCalls;
class Dialogue;
class Inbound;
class Outbound;
class RequestCalls;
struct Patience;

namespace pb {
class LogReply;    // of frame.pb.h, which is slow to compile
class LogRequest;  // the same
class StatsReply;  // the same
}  // namespace pb

// One session with a bus, for publishing and receiving on one thread.
//
// One thread may publish to a topic that it receives. A call that publishes
// also reads, into a buffer of ClientOptions::receive_bytes_max. A client that
// publishes more than that to itself before it calls Receive loses its oldest
// messages, since nothing else could end its waiting for itself; a Gap says how
// many.
//
// No call raises SIGPIPE or hangs in open(2), and no setting of the process is
// touched. There are no threads behind it: it reconnects, and answers a
// stopping broker, inside its calls.
//
// Messages from one client arrive at each subscriber in their order, exactly
// once, however many of its patterns match. What is lost is announced by gaps.
//
// A broker that dies leaves in the client's pipe what it had not read. The
// client takes that back, and a new session begins with it, in order, before
// anything newer: nothing of it is lost or comes twice. The same goes for what
// a Batch had gathered. What the broker had read and perhaps not passed on
// stays unknown, and the next publishing call says kSentAfterGap. If the broker
// had read nothing, it says kSent.
//
// Publish, Receive and what they return follow the mode. Calls that take a
// timeout wait for an answer of the broker, whatever the mode; what arrives
// meanwhile stays to be received.
//
// A new session asks for the same subscriptions. Those that read a log go on
// where they were: behind what Receive has returned, or, of a durable reader,
// at the position that the broker has of it. That may repeat a few messages
// which the program has received, and loses none; no gap is told of them. If the broker refuses one of
// them, or one whose Subscribe call has timed out, the client fails for good:
// Receive says kDisconnected, and status() names the subscription.
//
// Thread-compatible: one thread at a time. A second thread that calls while a
// first one is in a call ends the process with a line that says so.
//
// A client belongs to the process that made it. In the child of a fork all
// calls fail, with a status() that says so, and neither they nor the destructor
// disturb the parent's session. The child may make a client of its own.
class Client {
 public:
  using SentRequest = ::fifobus::SentRequest;

  // Waits for a broker until options.connect_timeout. The error names the
  // places that were tried and what to do. InvalidArgument: the will, or the
  // publisher's name.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  // Does not wait: the client connects when it is used, or when fd() is
  // readable and Receive is called.
  static absl::StatusOr<std::unique_ptr<Client>> Start(ClientOptions options);

  // Says Goodbye, so that the will is not published, after what is not yet in
  // the pipe, or was taken back from a broker that has died; for that, and for
  // the broker to know how far a durable reader is done, it waits up to a
  // second. What groups without acks have sent and
  // Receive has not returned is lost, and counted by the broker
  // (messages_taken_along). A member that wants to lose nothing calls
  // Unsubscribe, and then Receive until there is nothing more. A program that
  // wants to know of losses calls Flush before: a destructor cannot tell.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Publishes one message. `deadline` counts in mode kBlocking only. The views
  // need to live only during the call; they may be of the last Received.
  //
  // With a confirm_id, from 1 to 2^63 - 1, Receive returns a confirmation with
  // that id, in the order of publishing; up to 65536 may be awaited. With a
  // confirm_level, see LevelInFrame, it comes when that is reached or fails.
  PublishOutcome Publish(std::string_view topic, std::string_view payload,
                         Deadline deadline = Deadline::Never());
  PublishOutcome Publish(const MessageFields& message,
                         Deadline deadline = Deadline::Never());

  // Publishes and waits until the message has reached `level`: the broker has
  // taken it for each current subscriber, or it is written, or stored as well.
  // Of a duplicate the log had the message already. Unavailable,
  // DeadlineExceeded: it is not known whether it was taken. Of those that were
  // taken, FailedPrecondition: no log stores the topic; DataLoss: the log has
  // failed; ResourceExhausted: the log remembers no more publishers.
  absl::StatusOr<Confirmation> PublishConfirmed(
      const MessageFields& message, Level level,
      absl::Duration timeout = absl::Seconds(5));
  absl::StatusOr<Confirmation> PublishConfirmed(
      const MessageFields& message, absl::Duration timeout = absl::Seconds(5)) {
    return PublishConfirmed(message, Level::kAccepted, timeout);
  }

  // Of a client with ClientOptions::publisher: what the logs had of the name
  // when the session began, and the highest number that was given to a message
  // or that a log has. A program that repeats messages after a crash goes on
  // behind last_sequence(), or sets the numbers of old ones itself
  // (MessageFields::sequence): the log stores none of them twice.
  const std::vector<StoredMark>& publisher_marks() const;
  uint64_t last_sequence() const;

  // Writes what a Batch, a partial write, or a broker that died has left, for
  // which it waits for the next session. kSent: nothing is left, and no session
  // may have lost messages since this was told last.
  PublishOutcome Flush(Deadline deadline = Deadline::Never());

  // Waits until everything published before has reached `level`, and returns
  // the level that was reached, which may be higher. Unavailable: something may
  // be lost with its session, and it is not known what. FailedPrecondition,
  // DataLoss, ResourceExhausted: as PublishConfirmed, of one of the messages.
  absl::StatusOr<Level> Flush(Level level,
                              absl::Duration timeout = absl::Seconds(5));

  // Subscribes to a pattern: a topic in which a level may be "*" and the last
  // one "**". After OK, everything that is published arrives. A new session
  // begins with the same subscriptions.
  //
  // InvalidArgument: the pattern or the options are bad. FailedPrecondition: no
  // log stores the pattern, the client reads its topics already, or the durable
  // reader has another pattern. OutOfRange: the start is beyond the log's end.
  // DeadlineExceeded: there
  // is no answer yet, but the subscription stands and is made as soon as there
  // is a broker. AlreadyExists: the client has the subscription with other
  // options.
  absl::Status Subscribe(std::string_view pattern,
                         absl::Duration timeout = absl::Seconds(5)) {
    return Subscribe(pattern, SubscribeOptions(), timeout);
  }
  absl::Status Subscribe(std::string_view pattern,
                         const SubscribeOptions& options,
                         absl::Duration timeout = absl::Seconds(5));
  absl::Status Unsubscribe(std::string_view pattern,
                           absl::Duration timeout = absl::Seconds(5)) {
    return Unsubscribe(pattern, /*group=*/"", timeout);
  }
  absl::Status Unsubscribe(std::string_view pattern, std::string_view group,
                           absl::Duration timeout = absl::Seconds(5));

  // How far a subscription that reads a log has come; nothing if there is none,
  // or no answer yet. After Subscribe: which log it reads, and from where.
  std::optional<ReadPosition> read_position(std::string_view pattern,
                                            std::string_view group = "") const;

  // The next message, gap, confirmation or reply. `deadline` counts in the
  // modes kBlocking and kBusyPoll. No allocation and no copy per message.
  //
  // A message whose expiry has passed when it is its turn is not returned: a
  // Gap with kExpired stands in its place, for it and those that follow it.
  Received Receive(Deadline deadline = Deadline::Never());

  // Answers a message of an acknowledging group, by Received::delivery.ack_id:
  // it is done; or deliver it again, to any member. Does not wait; in a Batch
  // it goes out with it. In vain when the message's session is over: it is
  // delivered again anyway.
  void Ack(uint64_t ack_id);
  void Retry(uint64_t ack_id);
  // The message is still worked on: its timeout begins anew.
  void Extend(uint64_t ack_id);

  // Says that a message is done, and, of a durable reader without a group, all
  // that it has read before: another session of the reader goes on behind it.
  // Of a group's message it is Ack. The next Receive says it too, unless the
  // subscription is without auto_ack. Views of `received` need not be valid.
  void Done(const Received& received);

  // Publishes a request and waits for its first reply. NotFound: nobody is
  // subscribed to the topic; DeadlineExceeded; Unavailable: the session was
  // lost, it is not known whether it was worked on. `reply_topic` and
  // `confirm_id` are set here, and the expiry, if it is not set, to the end of
  // the timeout.
  absl::StatusOr<OwnedMessage> Request(
      std::string_view topic, std::string_view payload,
      absl::Duration timeout = absl::Seconds(5));
  absl::StatusOr<OwnedMessage> Request(
      const MessageFields& request, absl::Duration timeout = absl::Seconds(5));

  // As Request without waiting for the reply: Receive returns it as kReply with
  // this id, or why there is none. Any number may be in flight, up to 65536.
  // `deadline` is for the sending, in mode kBlocking.
  SentRequest SendRequest(const MessageFields& request,
                          absl::Duration timeout = absl::Seconds(5),
                          Deadline deadline = Deadline::Never());

  // Publishes the reply to a request that was received last. kRefused: it wants
  // none. The topic of `reply` is set here.
  PublishOutcome Reply(const Received& request, std::string_view payload,
                       Deadline deadline = Deadline::Never());
  PublishOutcome Reply(const Received& request, MessageFields reply,
                       Deadline deadline = Deadline::Never());

  // How many take what is published on `topic` now: sessions, each group
  // counting as one, and taps.
  absl::StatusOr<uint32_t> CountSubscribers(
      std::string_view topic, absl::Duration timeout = absl::Seconds(5));

  // What the broker knows about itself, for tools.
  absl::StatusOr<pb::StatsReply> Stats(
      absl::Duration timeout = absl::Seconds(5));

  // Has the broker do something with a log, for tools: moves or forgets a durable
  // reader, or trims the log. The request's id is set here.
  absl::StatusOr<pb::LogReply> AskLog(
      const pb::LogRequest& request, absl::Duration timeout = absl::Seconds(5));

  // Returns when the broker has dealt with everything published before in this
  // session.
  absl::Status Ping(absl::Duration timeout = absl::Seconds(5));

  // An epoll descriptor that is readable when Receive or Flush has something to
  // do: bytes, room for a rest, a deadline, time to reconnect. Valid for the
  // client's life. After it is readable call Receive, not blocking, until
  // kWouldBlock.
  int fd() const;

  void set_mode(Mode mode) { mode_ = mode; }
  Mode mode() const { return mode_; }

  // The bounds, since Connect, of the queue that the broker keeps for this
  // client. queue_messages_max 0: messages are not counted.
  struct Bounds {
    uint64_t queue_bytes_max = 0;
    uint64_t queue_messages_max = 0;
  };
  Bounds bounds() const;

  // The release of the broker that began the last session, "0.1.0". Valid until
  // the next call.
  std::string_view broker_version() const;

  // How many messages had expired when it was their turn. Gaps have told of
  // them, but for replies, which are passed over.
  uint64_t expired_messages() const;

  // How many messages were published again because a broker had died before it
  // read them; and how many are known to be lost because it had read the
  // beginning of a large one, and this client had only passed its payload on.
  // kSentAfterGap tells of the latter.
  uint64_t resent_messages() const;
  uint64_t lost_messages() const;

  // Sessions that ended, before what Receive has returned last, and took nothing
  // with them that this client is subscribed to: it reads logs alone, which go
  // on where they were. Other ends are told as gaps.
  uint64_t restarts() const;

  // Why the last call failed or why there is no session, for people.
  const absl::Status& status() const;

 private:
  friend class Batch;

  Client(Mode mode, std::unique_ptr<Dialogue> dialogue);

  PublishOutcome Refuse(absl::Status status);
  void SayGoodbye(const Patience& patience);
  absl::StatusOr<pb::StatsReply> AskForStats(std::string_view topic,
                                             absl::Duration timeout);
  void BeginBatch();
  void EndBatch();

  const std::unique_ptr<Dialogue> dialogue_;
  const std::unique_ptr<Outbound> outbound_;
  const std::unique_ptr<Inbound> inbound_;
  const std::unique_ptr<RequestCalls> request_calls_;
  const std::unique_ptr<ConfirmCalls> confirm_calls_;
  Mode mode_;
};

// Gathers messages and acknowledgements as long as it lives, so that many cross
// the pipe in one write: they go out at 64 KiB, with a message that is as large
// by itself, at Flush, and at the end.
//
//   {
//     fifobus::Batch batch(client);
//     for (...) outcome = client.Publish(...);
//   }
//
// The end flushes, but does not wait for another session; a program that wants to
// know the outcome calls Flush. Thread-compatible, with its client, which must outlive it.
class Batch {
 public:
  explicit Batch(Client& client) : client_(client) { client_.BeginBatch(); }
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

 private:
  Client& client_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_CLIENT_H_
