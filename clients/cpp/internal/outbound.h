#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_OUTBOUND_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_OUTBOUND_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/internal/repeated_head.h"
#include "clients/cpp/received.h"
#include "proto/frame_writer.h"

namespace fifobus {

// A client's way into `up`: checks messages, gathers them in batches, writes
// them whole or not at all, and knows whether earlier ones may be lost.
// Thread-compatible.
class Outbound {
 public:
  // `dialogue` must outlive it.
  explicit Outbound(Dialogue& dialogue) : dialogue_(dialogue) {}

  // See Client. kRefused leaves the reason in the dialogue.
  PublishOutcome Publish(const MessageFields& message,
                         const Patience& patience) {
    const PublishOutcome outcome = Send(message, patience);
    return outcome == PublishOutcome::kSent ? SentOutcome() : outcome;
  }
  PublishOutcome Publish(std::string_view topic, std::string_view payload,
                         const Patience& patience);
  // As Publish, but never kSentAfterGap, which stays to be told.
  PublishOutcome Send(const MessageFields& message, const Patience& patience) {
    if (dialogue_.numbering().is_named()) [[unlikely]] {
      return SendNumbered(message, patience);
    }
    return SendGiven(message, patience);
  }
  PublishOutcome Flush(const Patience& patience);
  // As Flush, but what the end of the session leaves waits for the next one,
  // and losses stay to be told.
  PublishOutcome FlushSession(const Patience& patience);
  // Why a message was not sent, by what Send returned; OK: it was.
  absl::Status FailureOf(PublishOutcome outcome) const;

  // Whether messages may be lost since this was told last, by this or by
  // kSentAfterGap.
  enum class Losses { kNone, kUnknown };
  [[nodiscard]] Losses TakeLosses();

 private:
  PublishOutcome Refuse(absl::Status status);
  PublishOutcome SendGiven(const MessageFields& message,
                           const Patience& patience);
  // Of a named publisher: with the next number, if the message has none, and
  // kept if it is to be sent again in another session.
  PublishOutcome SendNumbered(const MessageFields& message,
                              const Patience& patience);
  // Waits until enough of what is kept is confirmed.
  PublishOutcome AwaitRoomToKeep(size_t frame_bytes, const Patience& patience);
  PublishOutcome CheckMessage(const MessageFields& message);
  PublishOutcome SendNow(const MessageFields& message,
                         const Patience& patience);
  PublishOutcome AddToBatch(const MessageFields& message,
                            const Patience& patience);
  // Adds a message to a batch without checking again what held for the one
  // before. False: it has done nothing, because the message needs the full
  // checks.
  bool AddRepeated(std::string_view topic, std::string_view payload);
  PublishOutcome SentOutcome();
  // Waits until nothing is unwritten. kWouldBlock and kTimedOut leave the rest
  // as it is.
  PublishOutcome FlushAll(const Patience& patience);
  PublishOutcome AwaitSession(const Patience& patience);
  void AwaitRoom(Deadline deadline);
  // Reads about as much as was written, if the client may have to receive it.
  void KeepPace();
  // Looks at `down` now and then, for clients that only publish.
  void LookForGoodbye();

  Dialogue& dialogue_;
  std::string checked_topic_;
  RepeatedHead repeated_;          // of what was added to a batch last
  uint64_t repeated_session_ = 0;  // in which that was
  absl::Duration last_look_ = -absl::InfiniteDuration();
  uint64_t losses_told_ = 0;
  // The first session whose loss is to be told, since messages of it were not
  // kept; 0: none. And the last such session.
  uint64_t unkept_from_ = 0;
  uint64_t unkept_to_ = 0;
  uint64_t read_up_to_ = 0;  // of Connection::written
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_OUTBOUND_H_
