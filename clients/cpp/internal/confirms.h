#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "clients/cpp/received.h"
#include "proto/frame.pb.h"

namespace fifobus {

// A broker's Confirm as the caller gets it.
Confirmation ConfirmationFrom(const pb::Confirm& confirm);
Level LevelFrom(pb::Confirm::Level level);

// Messages whose confirmation a client still has to receive, in the order of
// their publishing, which is the order of the answers. Each leaves once: with
// its answer or with its session. Thread-compatible.
class Confirms {
 public:
  // More than this would be a client that never receives. Not tuned.
  static constexpr size_t kMax = 65536;

  bool empty() const { return awaited_.empty(); }
  bool full() const { return awaited_.size() >= kMax; }

  // Was published in this session; sessions only grow.
  void Add(uint64_t confirm_id, uint64_t session) {
    awaited_.push_back({confirm_id, session});
  }

  enum class Match { kAwaited, kUnknown };
  // The broker's next answer.
  [[nodiscard]] Match OnConfirm(uint64_t confirm_id) {
    if (awaited_.empty() || awaited_.front().confirm_id != confirm_id) {
      return Match::kUnknown;
    }
    awaited_.pop_front();
    return Match::kAwaited;
  }

  // The oldest of those that were published before `session` began, which are
  // never answered now. Called until there is none.
  std::optional<uint64_t> TakeLost(uint64_t session) {
    if (awaited_.empty() || awaited_.front().session >= session) {
      return std::nullopt;
    }
    const uint64_t confirm_id = awaited_.front().confirm_id;
    awaited_.pop_front();
    return confirm_id;
  }

 private:
  struct Awaited {
    uint64_t confirm_id;
    uint64_t session;
  };
  std::deque<Awaited> awaited_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_
