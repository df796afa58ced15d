#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_JET_STREAM_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_JET_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/bridge/nats_message.h"

// What JetStream is asked and answers: JSON on subjects below $JS.API, as
// https://docs.nats.io/reference/reference-protocols/nats_api_reference has it.
// Requests and answers are plain messages, so that nothing here waits.
namespace fifobus::bridge {

// The answer to a message that was published on a stream's subject.
struct PubAck {
  enum class Outcome {
    kStored,
    kDuplicate,
    kWrongPlace,   // the stream does not end with what was expected
    kTooLarge,     // larger than the stream's messages may be
    kNoStream,     // nobody takes the subject
    kOtherStream,  // another stream takes it than the one that is meant
    kRefused,      // for now: the stream is full, has no leader...
  };
  Outcome outcome = Outcome::kRefused;
  uint64_t sequence = 0;  // if kStored or kDuplicate
  std::string text;       // otherwise: what the server says
};
PubAck ReadPubAck(const NatsMessage& answer);

// What the bridge wants to know of a stream. Statuses of answers: NotFound,
// there is none of the name; Unavailable, nobody answers for it now;
// FailedPrecondition, the server says something else.
struct StreamState {
  // Whether it holds the message of this sequence for sure.
  bool Holds(uint64_t sequence) const {
    return deleted == 0 && first_sequence <= sequence &&
           sequence <= last_sequence && sequence != 0;
  }

  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t deleted = 0;  // between the two
  std::vector<std::string> subjects;
  // The limits by which messages go that nobody may have read, for people:
  // "max_age 1h0m0s, max_msgs 1000"; empty: none does.
  std::string dropping_limits;
  // The newest messages of each subject stay, and others go: so many; 0: all
  // stay. It is not among those limits.
  uint64_t messages_per_subject = 0;
  // The server's clock when it answered; nothing: it is older than 2.10.
  std::optional<absl::Time> server_time;
  // If the request was of StreamSubjectsBody: subjects that have messages, and
  // how many there are behind all pages.
  std::vector<std::string> held_subjects;
  uint64_t held_subjects_total = 0;
};
std::string StreamInfoSubject(std::string_view stream);
// Asks for the subjects as well, from the one with this number on.
std::string StreamSubjectsBody(std::string_view filter, uint64_t first);
absl::StatusOr<StreamState> ReadStreamState(const NatsMessage& answer);

// A stream that the bridge makes.
struct StreamConfig {
  std::string name;
  std::vector<std::string> subjects;
  uint32_t replicas = 1;
  uint64_t bytes_max = 0;                         // 0: no limit
  absl::Duration age_max = absl::ZeroDuration();  // 0: no limit
  uint64_t messages_per_subject = 0;              // 0: no limit
};
std::string StreamCreateSubject(std::string_view stream);
std::string StreamCreateBody(const StreamConfig& config);

// A message in a stream: that of a sequence, the last one that a filter matches,
// or the first one from a sequence on. NotFound: there is none; or a server that
// does not know yet that it leads no more has none.
struct StoredMessage {
  uint64_t sequence = 0;
  absl::Time time;  // by the server's clock
  NatsMessage message;
};
std::string MessageGetSubject(std::string_view stream);
std::string MessageBody(uint64_t sequence);
std::string LastMessageBody(std::string_view filter);
std::string NextMessageBody(uint64_t sequence, std::string_view filter);
absl::StatusOr<StoredMessage> ReadStoredMessage(const NatsMessage& answer);

// A durable pull consumer.
struct ConsumerState {
  // What was delivered last, by the consumer's count and the stream's.
  uint64_t delivered_consumer = 0;
  uint64_t delivered_stream = 0;
  // Everything up to here is acknowledged.
  uint64_t ack_floor_stream = 0;
  uint64_t unacked = 0;
  uint64_t pending = 0;  // in the stream, and not delivered yet
  std::string filter;
  bool explicit_acks = false;
  bool pulls = false;
};
// Why the bridge cannot use it, "has the filter ..."; empty: it can.
std::string ConsumerFault(const ConsumerState& consumer,
                          std::string_view filter);
std::string ConsumerInfoSubject(std::string_view stream,
                                std::string_view consumer);
absl::StatusOr<ConsumerState> ReadConsumerState(const NatsMessage& answer);

struct ConsumerConfig {
  std::string stream;
  std::string name;
  std::string filter;  // empty: all
  uint64_t unacked_max = 0;
  absl::Duration ack_wait;
  bool from_new = false;
};
std::string ConsumerCreateSubject(const ConsumerConfig& config);
std::string ConsumerCreateBody(const ConsumerConfig& config);

// A consumer that pushes the last message of each subject and then each new one
// to `deliver_subject`, without acknowledgements, and is gone soon after its
// connection. It waits for flow control's answers, and gives signs of life.
std::string ValuesConsumerSubject(const ConsumerConfig& config);
std::string ValuesConsumerBody(const ConsumerConfig& config,
                               std::string_view deliver_subject,
                               absl::Duration heartbeat);
std::string ConsumerDeleteSubject(std::string_view stream,
                                  std::string_view consumer);

// Asks for so many messages. The request ends by itself after `expires`; a sign
// of life comes at least every `heartbeat`.
std::string PullSubject(std::string_view stream, std::string_view consumer);
std::string PullBody(uint64_t messages, absl::Duration expires,
                     absl::Duration heartbeat);

// What the reply subject of a consumer's message says:
// "$JS.ACK.STREAM.CONSUMER.DELIVERED.STREAM-SEQ.CONSUMER-SEQ.TIME.PENDING", or
// with a domain and an account's hash behind ACK. Nothing: it is none.
struct Delivered {
  std::string consumer;
  absl::Time stored;  // by the server's clock
  uint64_t count = 0;
  uint64_t stream_sequence = 0;
  uint64_t consumer_sequence = 0;
  uint64_t pending = 0;
};
std::optional<Delivered> ReadDelivered(std::string_view reply);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_JET_STREAM_H_
