#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_REQUESTS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/deadline.h"
#include "clients/cpp/owned_message.h"
#include "clients/cpp/received.h"
#include "proto/frame.h"

namespace fifobus {

// A client's requests that are not over yet. A request names a topic of the
// client's own inbox, "_inbox/RANDOM/ID", and whatever is published there
// answers it. It is over with the first of
//
//   the answer | nobody is there to answer | its deadline | the session's end
//
// and what comes later is passed over. Not here: sending, and the clock.
// Thread-compatible.
class Requests {
 public:
  // In flight and not received together. Not tuned.
  static constexpr size_t kMax = 65536;

  struct Failure {
    uint64_t id = 0;
    ReplyOutcome outcome = ReplyOutcome::kUnknown;
  };

  // Whether there was a request ever: only then messages may be replies.
  bool begun() const { return !inbox_.empty(); }
  bool full() const { return open_.size() + failures_.size() >= kMax; }
  // The pattern that brings the replies; made at the first call.
  std::string Pattern();
  // REQUIRES: Pattern was called.
  std::string ReplyTopic(uint64_t id) const;
  bool IsReplyTopic(std::string_view topic) const {
    return topic.starts_with(inbox_);
  }

  // Was sent in this session. REQUIRES: `id` is new.
  void Add(uint64_t id, Deadline deadline, uint64_t session);
  void Forget(uint64_t id);
  // Is sent again in this session.
  void Move(uint64_t id, uint64_t session);
  bool IsOpen(uint64_t id) const { return open_.contains(id); }

  // The broker says how many subscribers take the request.
  void OnConfirm(uint64_t id, uint32_t sessions);
  // All of sessions before this one are over.
  void OnSessionBegun(uint64_t session);
  // No reply can come any more, to none of them.
  void OnInboxLost() { OnSessionBegun(UINT64_MAX); }
  // All whose deadline is not after `now` are over.
  void Expire(Deadline now);
  // When Expire has something to do.
  Deadline NextDeadline() const {
    return deadlines_.empty() ? Deadline::Never() : deadlines_.begin()->first;
  }

  // Whether a message on this topic answers a request that is not over.
  // REQUIRES: IsReplyTopic(topic).
  bool IsAwaited(std::string_view topic) const {
    return OpenIdOf(topic).has_value();
  }
  // Ends that request and returns its id.
  std::optional<uint64_t> TakeAnswered(std::string_view topic);
  bool HasFailure() const { return !failures_.empty(); }
  // The oldest that is over without an answer.
  std::optional<Failure> TakeFailure();
  std::optional<Failure> TakeFailureOf(uint64_t id);

  // One request may be waited for by a call: its answer is kept when it is seen
  // among what was read ahead.
  void Await(uint64_t id) { awaited_ = id; }
  void OnReadAhead(const MessageView& message);
  // Ends the waiting.
  std::optional<OwnedMessage> TakeAwaited();

 private:
  struct Open {
    Deadline deadline;
    uint64_t session;
  };
  void Fail(uint64_t id, ReplyOutcome outcome);
  std::optional<uint64_t> OpenIdOf(std::string_view topic) const;

  std::string inbox_;  // "_inbox/RANDOM/"; empty: never used
  std::map<uint64_t, Open> open_;
  std::set<std::pair<Deadline, uint64_t>> deadlines_;  // of open_
  std::deque<Failure> failures_;
  uint64_t awaited_ = 0;
  std::optional<OwnedMessage> answer_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_REQUESTS_H_
