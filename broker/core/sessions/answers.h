#ifndef FIFOBUS_BROKER_CORE_SESSIONS_ANSWERS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_ANSWERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "broker/core/delivery/egress.h"
#include "broker/seam/feed.h"
#include "proto/frame.pb.h"

namespace fifobus {

// The broker's own frames to one client: its answers, and the Error that ends
// the session. Each function returns kClose when the session is over.
//
// Worker-affine; owned by a Session.
class Answers {
 public:
  explicit Answers(std::shared_ptr<Egress> egress)
      : egress_(std::move(egress)) {}

  FeedOutcome Send(const pb::Frame& frame);
  // Whole frames, prefixes included. A client that lets too many answers wait
  // is ended, since none may be dropped.
  FeedOutcome SendFrames(std::string_view frames);

  // Error, for the request of this id: the session goes on.
  FeedOutcome Refuse(uint64_t request_id, pb::Error::Code code,
                     std::string text);
  // Error without an id, the session's last frame. The text is its end_reason.
  FeedOutcome RefuseSession(pb::Error::Code code, std::string text);

  // Why the broker has ended the session; empty: it has not.
  const std::string& end_reason() const { return end_reason_; }
  // As it was before an upgrade.
  void RestoreEndReason(std::string reason) { end_reason_ = std::move(reason); }

 private:
  const std::shared_ptr<Egress> egress_;
  std::string end_reason_;
};

// The text of CODE_DENIED: `what` is "subscribe to", `name` a topic or pattern.
std::string DeniedText(uint32_t uid, std::string_view what,
                       std::string_view name);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_ANSWERS_H_
