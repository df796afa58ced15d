#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cpp/received.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {

// A broker's Confirm as the caller gets it.
Confirmation ConfirmationFrom(const pb::Confirm& confirm);
Level LevelFrom(pb::Confirm::Level level);
ConfirmFailure FailureFrom(pb::Confirm::Failure failure);
// OK if `reached` is at least `asked`. Otherwise what to say of `subject`, which
// is what was to reach it.
absl::Status CheckReached(std::string_view subject, Level asked, Level reached,
                          ConfirmFailure failure);

// Messages whose confirmation a client still has to receive, in the order of
// their publishing, which is the order of the answers. Each leaves once: with
// its answer or with its session.
//
// Those that are kept outlive their session: the next one begins with the
// frames of all that are not answered. A frame is kept until its answer is
// read, which may be long before Receive returns that. If the answer is lost
// between, with what was read of a session that is over, it is told from here.
//
//   bytes of the kept frames <= kept_bytes_max, or there is one of them
//
// Thread-compatible.
class Confirms {
 public:
  // More than this would be a client that never receives. Not tuned.
  static constexpr size_t kMax = 65536;
  // From here on ids are the library's, and Receive returns nothing of them.
  static constexpr uint64_t kOwnIds = uint64_t{1} << 63;

  Confirms() = default;
  // 0: nothing is kept.
  explicit Confirms(size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}

  bool full() const { return awaited_.size() + lost_.size() >= kMax; }

  // Whether such a message is to be kept.
  bool keeps() const { return kept_bytes_max_ > 0; }
  bool Keeps(const MessageFields& message) const {
    return keeps() && message.confirm_id != 0 &&
           message.confirm_level >= LevelInFrame(Level::kWritten);
  }
  bool HasRoomFor(size_t frame_bytes) const {
    return kept_bytes_ == 0 || kept_bytes_ + frame_bytes <= kept_bytes_max_;
  }

  // Was published in this session; sessions only grow.
  void Add(uint64_t confirm_id, uint64_t session) {
    awaited_.push_back({confirm_id, session, nullptr});
  }
  void Keep(uint64_t confirm_id, uint64_t session, std::string frame);

  // Those messages are sent again, in this session, and so are answered there.
  void Move(const std::set<uint64_t>& confirm_ids, uint64_t session);
  // Appends the messages that go into a new session first: those that were
  // taken back, and what is kept. Both are in the order of their numbers, and
  // what is both goes once.
  void SendAgain(uint64_t session, std::string_view taken_back,
                 std::string& out);
  // How many of what is kept are not taken back and go as well.
  uint64_t CountToSendAgain(const std::set<uint64_t>& taken_back) const;

  // The answer was read, and Receive is still to come upon it.
  void OnReadAhead(const Confirmation& answer, uint64_t session);
  enum class Match { kAwaited, kUnknown };
  // Receive has come upon the broker's next answer.
  [[nodiscard]] Match OnConfirm(uint64_t confirm_id);
  // The answer to an own id, if it was kept.
  void OnOwnConfirm(uint64_t confirm_id);

  // What was published before `session` began, and is not kept, is never
  // answered now. REQUIRES: what was read of sessions before is taken.
  enum class Next { kSession, kNone };
  void OnSessionOver(uint64_t session, Next next);
  // The oldest of those. Called until there is none.
  std::optional<Confirmation> TakeLost();

 private:
  struct Kept {
    std::string frame;  // empty once there is an answer
    std::optional<Confirmation> answer;
  };
  struct Awaited {
    uint64_t confirm_id;
    uint64_t session;
    std::unique_ptr<Kept> kept;
  };
  void Release(Kept& kept);

  size_t kept_bytes_max_ = 0;
  size_t kept_bytes_ = 0;
  std::deque<Awaited> awaited_;
  // No answer is to be read ahead for those before this one.
  size_t read_ahead_ = 0;
  std::deque<Confirmation> lost_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_CONFIRMS_H_
