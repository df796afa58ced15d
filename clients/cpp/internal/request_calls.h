#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_REQUEST_CALLS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_REQUEST_CALLS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/dialogue.h"
#include "clients/cpp/internal/outbound.h"
#include "clients/cpp/internal/patience.h"
#include "clients/cpp/owned_message.h"
#include "clients/cpp/received.h"
#include "proto/frame_writer.h"

namespace fifobus {

// What a client does to ask another one: it subscribes to an inbox of its own,
// publishes the request, and waits for the reply if the call does. The requests
// that are not over yet are in Requests. Receive takes the replies that no call
// waits for. Thread-compatible.
class RequestCalls {
 public:
  // Both must outlive it.
  RequestCalls(Dialogue& dialogue, Outbound& outbound)
      : dialogue_(dialogue), outbound_(outbound) {}

  // See Client::Request.
  absl::StatusOr<OwnedMessage> Ask(const MessageFields& request,
                                   absl::Duration timeout);
  // See Client::SendRequest. `patience` is for the sending.
  SentRequest Send(const MessageFields& request, absl::Duration timeout,
                   const Patience& patience);

 private:
  // As Send, but never kSentAfterGap, which stays to be told.
  SentRequest SendUntold(const MessageFields& request, absl::Duration timeout,
                         const Patience& patience);
  SentRequest Refuse(absl::Status status);
  absl::Status OpenInbox();

  Dialogue& dialogue_;
  Outbound& outbound_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_REQUEST_CALLS_H_
