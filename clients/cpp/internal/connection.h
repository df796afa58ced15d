#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_CONNECTION_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/deadline.h"
#include "clients/cpp/internal/making_process.h"
#include "clients/cpp/internal/ready_fd.h"
#include "clients/cpp/internal/receive_buffer.h"
#include "clients/cpp/internal/send_buffer.h"
#include "clients/cpp/internal/session_pipes.h"
#include "clients/cpp/received.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"

namespace fifobus {

// A client's way to whichever broker runs: finds it, makes a session, notices
// its end, begins anew with growing delays. Knows the frames that concern the
// connection itself (Welcome, Goodbye, Error); all others are its Client's.
//
//   waiting --broker found--> greeting --Welcome--> open --Goodbye--> leaving
//      ^--------------------------------- lost <-----+-----------------+
//
// Belongs to the process that made it. In the child of a fork it can only
// forget: pipes and epoll set are the parent's too.
//
// Waits only in Wait. Thread-compatible.
class Connection {
 public:
  enum class State {
    kWaiting,   // for a broker; Advance tries again when it is time
    kGreeting,  // for Welcome
    kOpen,
    kLeaving,  // the broker stops, or ended the session: nothing more is
               // written, the rest is read
    kFailed,   // for good: refused, or lost and not to be made again
  };

  struct Options {
    std::string dir;
    pb::Hello hello;  // without version and pid, which are filled in
    bool reconnect = true;
    size_t receive_bytes_max = 0;
    // By which a process's open files can be opened once more.
    std::string open_files = "/proc/self/fd";
  };

  static absl::StatusOr<std::unique_ptr<Connection>> Make(Options options);
  ~Connection();

  State state() const { return state_; }
  // Why it is not open, for people.
  const absl::Status& status() const { return status_; }
  // Counts the sessions that were opened.
  uint64_t sessions() const { return sessions_; }
  // Counts sessions that ended and may have lost what was published in them, or
  // that ended at all, for receiving.
  uint64_t publish_losses() const { return publish_losses_; }
  uint64_t receive_losses() const { return receive_losses_; }
  // Counts the sessions that are over, lossy or not.
  uint64_t ends() const { return ends_; }
  // Whether the broker has ended the session for being slow, as it was asked.
  bool was_too_slow() const { return was_too_slow_; }
  // Whether an answer may still come in the session that is sessions() now.
  bool AnswersMayCome() const {
    return state_ == State::kOpen || state_ == State::kLeaving;
  }
  // Bytes after the prefix that the broker takes, and the bounds of the queue
  // that it keeps for this session. Known since the first Welcome.
  size_t frame_bytes_max() const { return frame_bytes_max_; }
  uint64_t queue_bytes_max() const { return queue_bytes_max_; }
  uint64_t queue_messages_max() const { return queue_messages_max_; }
  // The broker's release, as its last Welcome had it.
  const std::string& broker_version() const { return broker_version_; }
  // What logs had of the Hello's publisher when the session began.
  const std::vector<StoredMark>& publisher_marks() const {
    return publisher_marks_;
  }

  bool IsConnecting() const {
    return state_ == State::kWaiting || state_ == State::kGreeting;
  }
  // Does what can be done now about connecting, without waiting.
  void Advance() {
    if (IsConnecting()) Connect();
  }

  enum class ReadOutcome {
    kBytes,
    kNothing,
    kFull,  // nothing is read until something is taken
    kEnd,   // of `down`: OnDownEnded is to be called when in() was scanned
  };
  // Reads once from `down` into in().
  [[nodiscard]] ReadOutcome Read();
  enum class Room { kUnwanted, kWanted };
  // As Read, but first waits as Wait does. In one system call where it may wait
  // for `down` alone and for ever.
  [[nodiscard]] ReadOutcome WaitAndRead(Deadline deadline, Room room);
  // The broker is gone, unless in() held another reason for the end.
  void OnDownEnded();
  // Whether the last read has probably left nothing to read.
  bool probably_drained() const { return probably_drained_; }
  ReceiveBuffer& in() { return *in_; }
  // What a session that was lost had brought; null: nothing. To be taken before
  // anything of in().
  ReceiveBuffer* backlog() { return backlog_.get(); }
  void DropBacklog() { backlog_.reset(); }

  // Frames are appended to it. REQUIRES for that: state() is kOpen.
  std::string& out() { return out_.bytes(); }
  size_t unwritten() const { return out_.unwritten().size(); }
  // Whether the front of what is unwritten may be the rest of a frame, which
  // must follow, or the broker gets nothing more.
  bool has_begun() const { return out_.has_begun(); }
  // Counts the bytes that were written, in all sessions.
  uint64_t written() const { return written_; }
  void DropUnwritten() { out_.DropUnwritten(); }
  // See SendBuffer.
  void BeginCallers() { out_.BeginCallers(); }
  void EndCallers() { out_.EndCallers(); }
  // What becomes of what a session leaves behind, if another one follows.
  // Called within the call that notices the end, after each session.
  void OnRemains(std::function<void(Remains)> take) {
    remains_ = std::move(take);
  }
  // What the next Hello says is published again.
  void set_resent_messages(uint64_t messages) {
    if (state_ == State::kWaiting) resent_messages_ = messages;
  }
  uint64_t resent_messages() const { return resent_messages_; }
  enum class FlushOutcome { kAll, kWouldBlock, kLost };
  // Writes what is unwritten of out() and then `more`, from whose front it
  // removes what was written, as far as the pipe takes it.
  FlushOutcome Flush(std::string_view& more);

  // The broker leaves.
  void OnGoodbye();
  // The session is over and there will be no other.
  void OnFatalError(absl::Status status);
  // The same for a client that was slow and had asked for that. kYes: the
  // broker has said by a Gap what this client did not get.
  enum class GapCame { kNo, kYes };
  void OnTooSlow(absl::Status status, GapCame gap_came);

  // Waits for something to do: bytes, the end of `down`, time for another try,
  // and room in `up` if it is wanted. Returns at the deadline too.
  void Wait(Deadline deadline, Room room);

  // Whether this is the child of a fork, and not the process that made it.
  bool IsOfParent() const { return !maker_.IsThis(); }
  // Gives up the session without a trace for the parent, which goes on with it.
  void Forget();

  // See Client::fd.
  int fd() const { return IsOfParent() ? -1 : ready_fd_.get(); }
  // Whether fd() also becomes readable when `up` has room.
  void WatchRoom(bool watch) { ready_fd_.WatchRoom(pipes_.up(), watch); }
  // Whether fd() is readable now, because there is something for Receive that
  // no descriptor shows.
  void SetReadable(bool readable) { ready_fd_.SetReadable(readable); }
  // The time at which fd() also becomes readable, and stays so until the next
  // call with another time.
  void WakeAt(Deadline time);

 private:
  explicit Connection(Options options);

  void Connect();
  void Try();
  void Greet();
  void OnFirstFrame(const FrameView& frame);
  void OnWelcome(std::string_view member);
  // No answer has come yet, and perhaps never will.
  void CheckGreeting(bool no_writer);
  // The session is over; begins anew if that is wanted.
  void Lose(absl::Status status);
  // What all ends of a session have in common.
  enum class Missed { kUnknown, kTold };
  enum class Next { kSession, kNone };
  void End(Missed missed, Next next);
  // Nobody reads `up` any more. What the broker said last is still in `down`.
  void OnUpBroken();
  // What was published in the session that is over, and what was not read of
  // it. REQUIRES: `up` is not closed.
  enum class Pipe { kIsRead, kIsLeft };
  void Settle(SendBuffer::Reading reading, Pipe pipe);
  std::string HelloFrame() const;
  void ClosePipes();
  void KeepBacklog();
  void Schedule();
  bool TimeToTry() const { return next_try_.HasCome(); }
  // Whether `down` has no writer any more, however much is in it.
  bool DownHasHungUp() const;
  ReadOutcome Fill();
  // Whether reading `down` waits. Its open file is this client's alone.
  void SetDownWaits(bool waits);

  const Options options_;
  const MakingProcess maker_;
  ReadyFd ready_fd_;
  SessionPipes pipes_;
  std::unique_ptr<ReceiveBuffer> in_;
  std::unique_ptr<ReceiveBuffer> backlog_;
  SendBuffer out_;
  std::function<void(Remains)> remains_;
  uint64_t resent_messages_ = 0;
  bool has_let_others_in_ = false;  // before this client's own try
  uint64_t written_ = 0;

  State state_ = State::kWaiting;
  absl::Status status_;
  std::string bus_;
  Deadline next_try_ = Deadline::Now();
  Deadline wake_at_;
  absl::Duration delay_;
  Deadline greeting_end_;  // of the patience with a broker that says nothing
  bool writer_seen_ = false;
  bool down_waits_ = false;
  bool probably_drained_ = false;
  uint64_t sessions_ = 0;
  uint64_t publish_losses_ = 0;
  uint64_t receive_losses_ = 0;
  uint64_t ends_ = 0;
  bool goodbye_ = false;  // from the broker, in this session
  bool was_too_slow_ = false;
  size_t frame_bytes_max_ = kFrameBytesMaxDefault;
  uint64_t queue_bytes_max_ = 0;
  std::string broker_version_;
  uint64_t queue_messages_max_ = 0;
  std::vector<StoredMark> publisher_marks_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_CONNECTION_H_
