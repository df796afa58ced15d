#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRM_CALLS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRM_CALLS_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/outbound.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/received.h"
#include "proto/frame_writer.h"

namespace fifobus {

// The calls of a client that publish and want to know how far it has got.
// Thread-compatible.
class ConfirmCalls {
 public:
  // Both must outlive it.
  ConfirmCalls(Dialogue& dialogue, Outbound& outbound)
      : dialogue_(dialogue), outbound_(outbound) {}

  // See Client: Publish with a confirm_id, PublishConfirmed, Flush(level).
  PublishOutcome PublishTracked(const MessageFields& message,
                                const Patience& patience);
  absl::StatusOr<Confirmation> Publish(const MessageFields& message,
                                       Level level, absl::Duration timeout);
  absl::StatusOr<Level> Flush(Level level, absl::Duration timeout);

 private:
  PublishOutcome Refuse(absl::Status status);

  Dialogue& dialogue_;
  Outbound& outbound_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRM_CALLS_H_
