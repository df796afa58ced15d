#ifndef FIFOBUS_BROKER_CORE_SESSIONS_PENDING_ANSWERS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_PENDING_ANSWERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/core/logs/log_table.h"
#include "broker/core/logs/log_watch.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/sessions/answers.h"
#include "broker/seam/feed.h"
#include "broker/state/reader_state.pb.h"
#include "proto/frame.pb.h"

namespace fifobus {

// A Confirm that may have to wait for a log. Thread-compatible (plain data).
struct PendingConfirm {
  uint64_t confirm_id = 0;
  pb::Confirm::Level level = pb::Confirm::LEVEL_ACCEPTED;  // that is asked for
  uint32_t sessions = 0;
  uint32_t taps = 0;
  bool retained = false;
  bool duplicate = false;
  uint64_t offset = 0;  // that is told
  // Where it is stored; null: nowhere, for this reason.
  ServedLog* log = nullptr;
  uint64_t stored_offset = 0;
  pb::Confirm::Failure failure = pb::Confirm::FAILURE_NONE;
};

// The Confirms and Pongs of one session that wait until a log has written or
// stored what they are about, in the order of the messages: one that is due
// waits for those before it. All that become due by one commit are one write.
//
// A publisher whose answers are more than log_answers_max is paused until they
// are half of that.
//
// Worker-affine; owned by a Session.
class PendingAnswers : private LogWaiter {
 public:
  // `worker`: the index of the session's. `on_progress` runs after a log has
  // made answers due, with what sending them came to.
  using OnProgress = std::function<void(FeedOutcome)>;
  PendingAnswers(size_t answers_max, size_t worker, Answers& answers,
                 OnProgress on_progress);
  ~PendingAnswers() override = default;
  PendingAnswers(const PendingAnswers&) = delete;
  PendingAnswers& operator=(const PendingAnswers&) = delete;

  void SetValve(std::shared_ptr<Valve> valve) { valve_ = std::move(valve); }

  // What the session has published so far reaches up to there in the log; or
  // some of it is not stored.
  void NoteAppended(ServedLog& log, uint64_t offset);
  void NoteNotStored(pb::Confirm::Failure failure);

  // Each is sent by Send, when it is due.
  void AddConfirm(const PendingConfirm& confirm);
  // A Pong about everything that was noted.
  void AddPong(uint64_t token, pb::Confirm::Level level);

  // Sends what is due.
  [[nodiscard]] FeedOutcome Send();

  bool empty() const { return waiting_.empty(); }
  // Whether any answer ever had to wait.
  bool has_waited() const { return has_waited_; }
  // The session ends: nothing more is sent. Idempotent.
  void Forget();

  // What waits, for an upgrade. Send is to follow, when all is restored. What
  // waits for a log that is not served any more is not stored.
  pb::state::PendingAnswers Export() const;
  void Restore(const pb::state::PendingAnswers& state, const LogTable& logs);

 private:
  // By the numbers of pb::state::PendingAnswers::Kind.
  enum class Kind : uint8_t {
    kConfirm = 1,
    kPongPart,  // what the next Pong says of one log
    kPong,
  };
  struct Waiting {
    Kind kind;
    PendingConfirm answer;  // of a Pong its token is the confirm_id
  };
  struct Progress {
    ServedLog* log;
    uint64_t offset;
  };
  struct Reached {
    bool due = true;
    pb::Confirm::Level level = pb::Confirm::LEVEL_ACCEPTED;
    pb::Confirm::Failure failure = pb::Confirm::FAILURE_NONE;
  };

  void OnLogProgress() override;
  static Reached Reach(const PendingConfirm& answer);
  void Push(Kind kind, const PendingConfirm& answer);
  // Encodes what is due, from the front.
  void TakeDue();
  void Encode(const Waiting& waiting, const Reached& reached);
  // Null: of none.
  void Watch(ServedLog* log);
  void LimitWaiting();

  const size_t answers_max_;
  const size_t worker_;
  Answers& answers_;
  const OnProgress on_progress_;
  std::shared_ptr<Valve> valve_;
  bool paused_ = false;
  bool has_waited_ = false;

  std::deque<Waiting> waiting_;
  std::string due_;                 // frames
  ServedLog* watched_ = nullptr;    // that the first one waits for
  std::vector<Progress> progress_;  // one for each log
  pb::Confirm::Failure not_stored_ = pb::Confirm::FAILURE_NONE;
  // Of the parts of the Pong that is next.
  Reached pong_{true, pb::Confirm::LEVEL_STORED, pb::Confirm::FAILURE_NONE};
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_PENDING_ANSWERS_H_
