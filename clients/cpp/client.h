#ifndef FIFOBUS_CLIENTS_CPP_CLIENT_H_
#define FIFOBUS_CLIENTS_CPP_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
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

class Connection;
class ReceiveBuffer;

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
  // Whether to find the next broker when this one dies, and to subscribe anew.
  bool reconnect = true;
  // Bound of what is read ahead while a call that is not Receive waits.
  size_t receive_bytes_max = size_t{64} << 20;
};

enum class PublishOutcome {
  // The bytes are in the pipe; or, in an open Batch, will be at its Flush; or,
  // not blocking, their rest follows by itself at later calls.
  kSent,
  // As kSent, but on a new session: an unknown number of the messages before
  // this one was lost with the old one. Told once.
  kSentAfterGap,
  // Not blocking: the pipe is full, or there is no broker now. Nothing was
  // taken.
  kWouldBlock,
  // The deadline came. Nothing was taken.
  kTimedOut,
  // The topic is invalid or the message larger than the bus takes; see
  // status().
  kRefused,
  // There is no session and none will be made; see status().
  kDisconnected,
};

enum class ReceiveOutcome {
  kMessage,
  kGap,           // messages were lost at this point of the stream
  kWouldBlock,    // not blocking: there is none now
  kTimedOut,      // the deadline came
  kDisconnected,  // there is no session and none will be made; see status()
};

// Messages that were lost for this subscriber, told between those before and
// those after them.
struct Gap {
  struct Loss {
    std::string topic;
    uint64_t messages = 0;
  };
  bool reconnected = false;  // the broker died or was restarted
  uint64_t messages = 0;     // in all; 0: unknown
  std::vector<Loss> losses;  // by topic, at most 64 topics
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
  // Only if kMessage. Its views are valid until the next call on the client
  // that is not const.
  MessageView message;
  // The message's whole frame, prefix included, for passing it on as it is.
  std::string_view frame;
  // Only if kGap.
  Gap gap;
};

// One session with a bus, for publishing and receiving on one thread.
//
// While a call waits to write, arriving messages are read into a buffer, so one
// thread may publish to a topic that it receives. No call raises SIGPIPE or
// hangs in open(2), and no setting of the process is touched. There are no
// threads behind it: it reconnects, and answers a stopping broker, inside its
// calls.
//
// Messages from one client arrive at each subscriber in their order, exactly
// once, however many of its patterns match.
//
// Thread-compatible: one thread at a time. Do not use it in the child of a
// fork.
class Client {
 public:
  // Waits for a broker until options.connect_timeout. The error names the
  // places that were tried and what to do.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options);

  // Does not wait: the client connects when it is used, or when fd() is
  // readable and Receive is called.
  static absl::StatusOr<std::unique_ptr<Client>> Start(ClientOptions options);

  // Waits up to a second for what is not yet in the pipe.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Publishes one message. `deadline` counts in mode kBlocking only. The views
  // need to live only during the call.
  PublishOutcome Publish(std::string_view topic, std::string_view payload,
                         absl::Time deadline = absl::InfiniteFuture());
  PublishOutcome Publish(const MessageFields& message,
                         absl::Time deadline = absl::InfiniteFuture());

  // Writes what a Batch or a partial write has left. kSent: nothing is left.
  PublishOutcome Flush(absl::Time deadline = absl::InfiniteFuture());

  // Subscribes to a pattern: a topic in which a level may be "*" and the last
  // one "**". When this returns OK, all that is published afterwards arrives.
  // Waits whatever the mode, up to `timeout`. InvalidArgument: the pattern;
  // DeadlineExceeded: no answer yet, but the subscription stands and is made as
  // soon as there is a broker.
  absl::Status Subscribe(std::string_view pattern,
                         absl::Duration timeout = absl::Seconds(5));
  absl::Status Unsubscribe(std::string_view pattern,
                           absl::Duration timeout = absl::Seconds(5));

  // The next message or gap. `deadline` counts in the modes kBlocking and
  // kBusyPoll. No allocation and no copy per message.
  Received Receive(absl::Time deadline = absl::InfiniteFuture());

  // What the broker knows about itself, for tools.
  absl::StatusOr<pb::StatsReply> Stats(
      absl::Duration timeout = absl::Seconds(5));

  // Returns when the broker has dealt with everything published before.
  absl::Status Ping(absl::Duration timeout = absl::Seconds(5));

  // An epoll descriptor that is readable when Receive or Flush has something to
  // do: bytes, room for a rest, time to reconnect. Valid for the client's life.
  // After it is readable call Receive, not blocking, until kWouldBlock.
  int fd() const;

  void set_mode(Mode mode) { mode_ = mode; }
  Mode mode() const { return mode_; }

  // Why the last call failed or why there is no session, for people.
  const absl::Status& status() const;

 private:
  friend class Batch;

  struct Subscription {
    std::string pattern;
    uint64_t request_id = 0;
    bool acknowledged = false;
    absl::Status refusal;
  };

  Client(ClientOptions options, std::unique_ptr<Connection> connection);

  // Connecting, subscribing anew, noticing losses: what every call does first.
  void Progress();
  void OnNewSession();
  // Looks at `down` now and then, for clients that only publish.
  void LookForGoodbye();

  PublishOutcome Refuse(absl::Status status);
  PublishOutcome CheckMessage(const MessageFields& message);
  PublishOutcome SendNow(const MessageFields& message, absl::Time deadline);
  PublishOutcome AddToBatch(const MessageFields& message, absl::Time deadline);
  PublishOutcome SentOutcome();
  // Waits until out() is empty. kWouldBlock and kTimedOut leave it as it is.
  PublishOutcome FlushOut(absl::Time deadline);
  PublishOutcome AwaitSession(absl::Time deadline);
  // kTimedOut or kWouldBlock, as the mode has it.
  PublishOutcome GivenUp() const;
  bool GiveUp(absl::Time deadline) const;
  void AwaitRoom(absl::Time deadline);

  absl::Status AwaitOpen(absl::Duration timeout);
  Subscription* FindSubscription(std::string_view pattern);
  void ForgetSubscription(std::string_view pattern);
  void SendSubscribe(Subscription& subscription);
  void SendControl(const pb::Frame& frame);
  void FlushWithoutWaiting();
  void ReadAhead();
  // Acts on the control frames that were read ahead.
  void Scan();
  void OnControl(const FrameView& view);
  void OnError(const pb::Error& error);
  void FailOnFrame(FrameFault fault);
  template <typename Predicate>
  absl::Status WaitFor(const Predicate& done, absl::Duration timeout,
                       std::string_view what);

  // The next event that was read already; kWouldBlock: none.
  Received TakeBuffered();
  Received TakeFrom(ReceiveBuffer& buffer);

  const ClientOptions options_;
  const std::unique_ptr<Connection> connection_;
  Mode mode_;
  absl::Status status_;
  std::string checked_topic_;
  int open_batches_ = 0;
  absl::Time last_look_ = absl::InfinitePast();

  uint64_t sessions_seen_ = 0;
  uint64_t publish_losses_told_ = 0;
  uint64_t receive_losses_told_ = 0;

  std::vector<Subscription> subscriptions_;
  uint64_t last_request_ = 0;
  uint64_t last_unsubscribed_ = 0;
  uint64_t last_pong_ = 0;
  std::optional<pb::StatsReply> stats_;
  absl::Status request_error_;
  uint64_t failed_request_ = 0;
};

// Gathers messages as long as it lives, so that many cross the pipe in one
// write: they go out at 64 KiB, with a message that is as large by itself, at
// Flush, and at the end.
//
//   {
//     fifobus::Batch batch(client);
//     for (...) outcome = client.Publish(...);
//   }
//
// The end flushes as client.Flush() does and ignores its outcome; who wants to
// know calls Flush. Thread-compatible, with its client, which must outlive it.
class Batch {
 public:
  explicit Batch(Client& client) : client_(client) { ++client_.open_batches_; }
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

 private:
  Client& client_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_CLIENT_H_
