#include "clients/cpp/internal/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <optional>
#include <utility>

#include "clients/cpp/bus_locator.h"
#include "clients/cpp/internal/nosignal_write.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"
#include "proto/version.h"

namespace fifobus {
namespace {

// The time between two tries, which doubles from the first to the last. A
// broker that restarts is found within a few milliseconds. One that is not
// there costs a handful of system calls a second. Not tuned.
constexpr absl::Duration kFirstDelay = absl::Milliseconds(2);
constexpr absl::Duration kLastDelay = absl::Milliseconds(200);

// A pair whose names were removed without an answer is given up after this: a
// broker that was killed since may have removed them.
constexpr absl::Duration kGreetingPatience = absl::Seconds(1);

// A read that brought at most this has probably emptied the pipe. Reading once
// more to be sure would be one more system call for each lone message; poll(2)
// or a waiting read sees what comes next.
constexpr size_t kProbablyAllBytes = PIPE_BUF;

// A write of a payload holds the pipe's mutex for all that it copies, and the
// broker's read spins for it meanwhile: bench/DECISIONS.md.
constexpr size_t kWrittenAtOnce = size_t{64} << 10;

}  // namespace

std::string Connection::HelloFrame() const {
  pb::Frame frame;
  pb::Hello& hello = *frame.mutable_hello();
  hello = options_.hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_pid(static_cast<uint32_t>(getpid()));
  hello.set_resent_messages(
      static_cast<uint32_t>(std::min<uint64_t>(resent_messages_, UINT32_MAX)));
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Make(Options options) {
  auto connection =
      std::unique_ptr<Connection>(new Connection(std::move(options)));
  const absl::Status status = connection->ready_fd_.Open();
  if (!status.ok()) return status;
  return connection;
}

Connection::Connection(Options options)
    : options_(std::move(options)),
      in_(std::make_unique<ReceiveBuffer>(options_.receive_bytes_max)),
      out_(options_.reconnect ? SendBuffer::Keep::kUnread
                              : SendBuffer::Keep::kNothing),
      status_(absl::UnavailableError("not connected yet")),
      delay_(kFirstDelay) {}

Connection::~Connection() = default;

void Connection::Connect() {
  if (state_ == State::kWaiting && TimeToTry()) Try();
  if (state_ == State::kGreeting) Greet();
}

void Connection::Try() {
  const auto bus = FindBus(options_.dir);
  if (!bus.ok()) {
    status_ = bus.status();
    Schedule();
    return;
  }
  // Subscribers have looked for a broker since the same moment and as often as
  // this client. Those that come first miss nothing of what is published again.
  if (resent_messages_ > 0 && !std::exchange(has_let_others_in_, true)) {
    Schedule();
    return;
  }
  auto pipes = SessionPipes::Offer(*bus, HelloFrame());
  absl::Status status = pipes.status();
  if (status.ok()) {
    pipes_ = *std::move(pipes);
    status = ready_fd_.AddDown(pipes_.down());
  }
  if (!status.ok()) {
    status_ = status;
    ClosePipes();
    Schedule();
    return;
  }
  bus_ = *bus;
  state_ = State::kGreeting;
  writer_seen_ = false;
  greeting_end_ = kGreetingPatience;
  // A broker that is full keeps its last word and its growing delay.
  if (!absl::IsResourceExhausted(status_)) {
    status_ = absl::UnavailableError(
        fmt::format("the broker on {} has not answered", bus_));
    delay_ = kFirstDelay;
  }
  Schedule();
}

void Connection::Greet() {
  while (true) {
    const std::string_view bytes = in_->untaken();
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state == FrameExtent::State::kWhole) {
      in_->Take(extent.frame_bytes);
      OnFirstFrame(ReadWholeFrame(bytes.substr(0, extent.frame_bytes)));
      in_->Release();
      // What came with Welcome is not in the pipe any more.
      if (state_ == State::kOpen && !in_->untaken().empty()) SetReadable(true);
      return;
    }
    switch (in_->Fill(pipes_.down())) {
      case ReceiveBuffer::FillOutcome::kBytes:
      case ReceiveBuffer::FillOutcome::kFull:
        continue;
      case ReceiveBuffer::FillOutcome::kEmpty:
        writer_seen_ = true;
        CheckGreeting(/*no_writer=*/false);
        return;
      case ReceiveBuffer::FillOutcome::kEnd:
        CheckGreeting(/*no_writer=*/true);
        return;
    }
  }
}

void Connection::OnFirstFrame(const FrameView& frame) {
  if (frame.fault == FrameFault::kNone && frame.kind == FrameKind::kWelcome) {
    OnWelcome(frame.member);
    return;
  }
  pb::Error error;
  if (frame.kind == FrameKind::kError) {
    (void)error.ParseFromArray(frame.member.data(),
                               static_cast<int>(frame.member.size()));
  }
  // A limit may be gone at the next try; anything else will not.
  if (error.code() == pb::Error::CODE_LIMIT) {
    Lose(absl::ResourceExhaustedError(error.text()));
  } else {
    OnFatalError(absl::FailedPreconditionError(
        fmt::format("the broker refused the session: {}", error.text())));
  }
}

// Until the broker has opened `down`, a read finds no writer, which then says
// nothing; afterwards it says that the broker is gone.
void Connection::CheckGreeting(bool no_writer) {
  if (no_writer && writer_seen_) {
    Lose(absl::UnavailableError("the broker hung up"));
    return;
  }
  if (!TimeToTry()) return;
  const absl::Status alive = CheckBus(bus_);
  if (!alive.ok()) {
    Lose(alive);
  } else if (no_writer && greeting_end_.HasCome() && !pipes_.NamesExist()) {
    Lose(absl::UnavailableError(
        "the broker removed the session's pipes; its log says why"));
  } else {
    Schedule();
  }
}

void Connection::OnWelcome(std::string_view member) {
  pb::Welcome welcome;
  (void)welcome.ParseFromArray(member.data(), static_cast<int>(member.size()));
  frame_bytes_max_ = welcome.frame_bytes_max();
  queue_bytes_max_ = welcome.queue_bytes_max();
  queue_messages_max_ = welcome.queue_messages_max();
  broker_version_ = welcome.broker_version();
  publisher_marks_.clear();
  for (const pb::Welcome::PublisherMark& mark : welcome.publisher_marks()) {
    publisher_marks_.push_back(
        {mark.log(), mark.last_sequence(), mark.last_offset()});
  }
  pipes_.OnWelcome();
  state_ = State::kOpen;
  status_ = absl::OkStatus();
  delay_ = kFirstDelay;
  next_try_ = Deadline::Never();
  ready_fd_.SetTimer(std::min(next_try_, wake_at_));
  goodbye_ = has_let_others_in_ = false;
  ++sessions_;
}

void Connection::OnGoodbye() {
  goodbye_ = true;
  if (state_ != State::kOpen) return;
  // What is not in the pipe by now would make the broker wait.
  std::string_view nothing;
  if (Flush(nothing) == FlushOutcome::kLost) return;
  if (pipes_.UpIsAbandoned()) {
    Settle(SendBuffer::Reading::kOver, Pipe::kIsLeft);
  } else {
    Settle(SendBuffer::Reading::kGoesOn, Pipe::kIsRead);
  }
  WatchRoom(false);
  pipes_.CloseUp();
  state_ = State::kLeaving;
  status_ = absl::UnavailableError("the broker is stopping");
}

void Connection::OnFatalError(absl::Status status) {
  // No gap: nothing follows what came before the end.
  End(Missed::kTold, Next::kNone);
  state_ = State::kFailed;
  status_ = std::move(status);
}

void Connection::OnTooSlow(absl::Status status, GapCame gap_came) {
  was_too_slow_ = true;
  End(gap_came == GapCame::kYes ? Missed::kTold : Missed::kUnknown,
      Next::kNone);
  state_ = State::kFailed;
  status_ = std::move(status);
}

void Connection::Lose(absl::Status status) {
  End(Missed::kUnknown, Next::kSession);
  status_ = std::move(status);
  state_ = options_.reconnect ? State::kWaiting : State::kFailed;
  if (state_ == State::kWaiting) Schedule();
}

void Connection::End(Missed missed, Next next) {
  if (state_ == State::kOpen && next == Next::kSession) {
    Settle(SendBuffer::Reading::kOver, Pipe::kIsLeft);
  } else if (state_ == State::kOpen) {
    ++publish_losses_;
  }
  if (AnswersMayCome()) {
    ++ends_;
    if (missed == Missed::kUnknown) ++receive_losses_;
  }
  ClosePipes();
  SetReadable(true);
}

void Connection::Forget() {
  pipes_.Forget();
  ready_fd_.Forget();
  in_->Clear();
  DropBacklog();
  out_.Clear();
  state_ = State::kFailed;
  status_ = absl::FailedPreconditionError(fmt::format(
      "this client belongs to process {}, of which this one is a fork: make "
      "another client here",
      maker_.id()));
}

void Connection::OnUpBroken() {
  Settle(SendBuffer::Reading::kOver, Pipe::kIsLeft);
  WatchRoom(false);
  pipes_.CloseUp();
  state_ = State::kLeaving;
  status_ = absl::UnavailableError("the broker is gone");
}

void Connection::ClosePipes() {
  ready_fd_.RemovePipes(pipes_.up(), pipes_.down());
  pipes_ = SessionPipes();
  down_waits_ = false;
  probably_drained_ = false;
  KeepBacklog();
  out_.Clear();
}

// What was read is still to be taken, though its session is over. If the
// backlog of an earlier session is not taken yet, the gap after that one covers
// this too.
void Connection::KeepBacklog() {
  in_->EndScan();
  if (!backlog_ && !in_->untaken().empty()) {
    backlog_ = std::exchange(
        in_, std::make_unique<ReceiveBuffer>(options_.receive_bytes_max));
  }
  in_->Clear();
}

void Connection::Schedule() {
  next_try_ = delay_;
  ready_fd_.SetTimer(std::min(next_try_, wake_at_));
  delay_ = std::min(2 * delay_, kLastDelay);
}

void Connection::WakeAt(Deadline time) {
  if (time == wake_at_) return;
  wake_at_ = time;
  ready_fd_.SetTimer(std::min(next_try_, wake_at_));
}

Connection::ReadOutcome Connection::Read() {
  if (!AnswersMayCome()) return ReadOutcome::kNothing;
  SetDownWaits(false);
  return Fill();
}

Connection::ReadOutcome Connection::WaitAndRead(Deadline deadline, Room room) {
  const bool only_down =
      state_ == State::kOpen && room == Room::kUnwanted && deadline.IsNever();
  if (only_down) {
    SetDownWaits(true);
    return Fill();
  }
  Wait(deadline, room);
  return Read();
}

void Connection::SetDownWaits(bool waits) {
  if (std::exchange(down_waits_, waits) == waits) return;
  (void)fcntl(pipes_.down(), F_SETFL, waits ? 0 : O_NONBLOCK);
}

Connection::ReadOutcome Connection::Fill() {
  const size_t before = in_->untaken().size();
  probably_drained_ = false;
  switch (in_->Fill(pipes_.down())) {
    case ReceiveBuffer::FillOutcome::kBytes:
      probably_drained_ = in_->untaken().size() - before <= kProbablyAllBytes;
      return ReadOutcome::kBytes;
    case ReceiveBuffer::FillOutcome::kFull:
      // A call that waits for the next session must not wait for Receive. What
      // is left of this one is part of the gap.
      return state_ == State::kOpen && !DownHasHungUp() ? ReadOutcome::kFull
                                                        : ReadOutcome::kEnd;
    case ReceiveBuffer::FillOutcome::kEmpty:
      return ReadOutcome::kNothing;
    case ReceiveBuffer::FillOutcome::kEnd:
      break;
  }
  return ReadOutcome::kEnd;
}

bool Connection::DownHasHungUp() const {
  pollfd down = {pipes_.down(), 0, 0};
  return poll(&down, 1, 0) == 1 && (down.revents & POLLHUP) != 0;
}

// A subscriber that is ended for being slow may have been too slow to be told
// so: its pipe was full until the broker closed it. A broker that was killed
// and replaced before this client looked is taken for the same.
void Connection::OnDownEnded() {
  if (!AnswersMayCome()) return;
  const bool asked_for_it =
      options_.hello.overflow() == pb::OVERFLOW_DISCONNECT;
  if (asked_for_it && !goodbye_ && CheckBus(bus_).ok()) {
    OnTooSlow(absl::ResourceExhaustedError(
                  "the broker ended the session, because this client was too "
                  "slow and had asked for that"),
              GapCame::kNo);
    return;
  }
  Lose(absl::UnavailableError("the broker is gone"));
}

Connection::FlushOutcome Connection::Flush(std::string_view& more) {
  if (state_ != State::kOpen) return FlushOutcome::kLost;
  while (unwritten() + more.size() > 0) {
    const std::string_view ours = out_.unwritten();
    const std::array<iovec, 2> parts = {{
        {const_cast<char*>(ours.data()), ours.size()},
        {const_cast<char*>(more.data()), std::min(more.size(), kWrittenAtOnce)},
    }};
    // The kernel takes a short cut for one part.
    const ssize_t bytes =
        ours.empty()
            ? WriteWithoutSignal(pipes_.up(), &parts[1], 1)
            : WriteWithoutSignal(pipes_.up(), &parts[0], more.empty() ? 1 : 2);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return FlushOutcome::kWouldBlock;
    if (bytes < 0) {
      OnUpBroken();
      return FlushOutcome::kLost;
    }
    written_ += static_cast<uint64_t>(bytes);
    const size_t of_ours = std::min(static_cast<size_t>(bytes), ours.size());
    const size_t of_more = static_cast<size_t>(bytes) - of_ours;
    out_.OnWritten(of_ours);
    if (of_more == 0) continue;
    out_.OnHoleWritten(of_more);
    more.remove_prefix(of_more);
  }
  out_.OnAllWritten();
  if (out_.IsLong()) out_.Trim(pipes_.Unread());
  return FlushOutcome::kAll;
}

void Connection::Settle(SendBuffer::Reading reading, Pipe pipe) {
  if (!options_.reconnect) {
    if (unwritten() > 0 || pipe == Pipe::kIsLeft) ++publish_losses_;
    out_.Clear();
    return;
  }
  std::optional<std::string_view> unread;
  absl::StatusOr<std::string> taken = absl::UnavailableError("not tried");
  if (pipe == Pipe::kIsLeft) {
    // One byte more than there can be shows that others are there as well.
    taken = pipes_.TakeBack(options_.open_files, out_.written_bytes() + 1);
    if (taken.ok()) unread = *taken;
  }
  Remains remains = out_.Take(reading, unread);
  if (remains.unknown || remains.lost > 0) ++publish_losses_;
  if (remains_) remains_(std::move(remains));
}

void Connection::Wait(Deadline deadline, Room room) {
  if (state_ == State::kFailed) return;  // nothing will ever come
  const bool connecting =
      state_ == State::kWaiting || state_ == State::kGreeting;
  const Deadline until = connecting ? std::min(deadline, next_try_) : deadline;
  int timeout_millis = -1;
  if (!until.IsNever()) {
    timeout_millis = static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(
        std::min(until.Rest(), absl::Hours(1)), absl::Milliseconds(1))));
  }
  // A hang-up is always reported. poll(2) ignores negative descriptors.
  const short bytes = in_->full() ? 0 : POLLIN;
  std::array<pollfd, 2> fds = {{
      {pipes_.down(), bytes, 0},
      {room == Room::kWanted ? pipes_.up() : -1, POLLOUT, 0},
  }};
  (void)poll(fds.data(), fds.size(), timeout_millis);
}

}  // namespace fifobus
