#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_SUBSCRIPTIONS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_SUBSCRIPTIONS_H_

#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cpp/client_options.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What a client is, or wants to be, subscribed to, so that each new session
// begins with the same. Not here: sending. Thread-compatible.
class Subscriptions {
 public:
  enum class State { kAsked, kInForce, kRefused };

  struct Subscription {
    std::string pattern;
    SubscribeOptions options;
    // Of the client itself, for replies: no gaps are told for it.
    bool internal = false;
    // A call waits for the answer, so that it will tell of a refusal.
    bool awaited = false;
    State state = State::kAsked;
    uint64_t request_id = 0;  // of the last time it was asked for
    uint64_t number = 0;      // of the client's, from 1

    // If it reads a log; see Positions.
    std::string log;  // empty: it was never in force
    uint64_t next_offset = 0;
    bool resumed = false;  // a session before has read up to next_offset
    uint64_t unread_before = 0;
    uint64_t done_offset = 0;
    uint64_t acked_offset = 0;
    bool caught_up = false;
    absl::Status refusal;  // if kRefused
  };

  // OK, or what is wrong with them.
  static absl::Status Check(std::string_view pattern,
                            const SubscribeOptions& options);

  // A pattern may be there once plainly and once for each group. Null: none.
  // Pointers are valid until Remove.
  Subscription* Find(std::string_view pattern, std::string_view group);
  // One that reads the topics of `pattern` out of a log as well, so that nobody
  // could tell the messages apart.
  const Subscription* FindOverlap(std::string_view pattern,
                                  const SubscribeOptions& options) const;
  Subscription& Add(std::string_view pattern, const SubscribeOptions& options);
  void Remove(std::string_view pattern, std::string_view group);

  // The frame that asks for `subscription` by this request id.
  static pb::Frame Ask(Subscription& subscription, uint64_t request_id);
  // The one that is in force now; null: it is not there any more.
  Subscription* OnSubscribed(const pb::Subscribed& subscribed);
  // Null: none has this request id.
  Subscription* OfRequest(uint64_t request_id);
  // The one that was refused; null: it is not there any more.
  const Subscription* OnRefused(uint64_t request_id,
                                const absl::Status& refusal);

  std::list<Subscription>& all() { return all_; }
  // Whether a lost session means lost messages.
  bool MissesMessages() const;
  // Whether there are any beside that for replies, and all of them read logs:
  // the next session brings what a lost one has not.
  bool GoOn() const;

 private:
  std::list<Subscription> all_;
  uint64_t last_number_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_SUBSCRIPTIONS_H_
