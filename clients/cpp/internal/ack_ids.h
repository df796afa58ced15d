#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_ACK_IDS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_ACK_IDS_H_

#include <algorithm>
#include <cstdint>
#include <optional>

namespace fifobus {

// The broker counts ack ids anew in each session, but a caller may answer a
// message when its session is over, and must not answer another's. So callers
// see ids that go on growing:
//
//   seen = the broker's + the largest that was seen in sessions before
//
// Thread-compatible.
class AckIds {
 public:
  // What the caller sees of an id that came in this session. 0 stays 0: not to
  // be acknowledged. REQUIRES: what came in one session is shown together.
  uint64_t Show(uint64_t broker_id, uint64_t session) {
    if (broker_id == 0) return 0;
    if (session != session_) {
      session_ = session;
      base_ = largest_;
    }
    largest_ = std::max(largest_, base_ + broker_id);
    return base_ + broker_id;
  }

  // The broker's id, if `session` is the one it came in.
  std::optional<uint64_t> Find(uint64_t seen, uint64_t session) const {
    if (session != session_ || seen <= base_) return std::nullopt;
    return seen - base_;
  }

 private:
  uint64_t session_ = 0;
  uint64_t base_ = 0;
  uint64_t largest_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_ACK_IDS_H_
