#include "clients/cpp/internal/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "absl/time/clock.h"
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

absl::Status AddToEpoll(int epoll_fd, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "epoll_ctl");
}

std::string HelloFrame(const pb::Hello& hello) {
  pb::Frame frame;
  *frame.mutable_hello() = hello;
  frame.mutable_hello()->set_protocol_version(kProtocolVersion);
  frame.mutable_hello()->set_pid(static_cast<uint32_t>(getpid()));
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Make(Options options) {
  auto connection =
      std::unique_ptr<Connection>(new Connection(std::move(options)));
  const absl::Status status = connection->MakeDescriptors();
  if (!status.ok()) return status;
  return connection;
}

Connection::Connection(Options options)
    : options_(std::move(options)),
      in_(std::make_unique<ReceiveBuffer>(options_.receive_bytes_max)),
      status_(absl::UnavailableError("not connected yet")),
      delay_(kFirstDelay) {}

Connection::~Connection() = default;

absl::Status Connection::MakeDescriptors() {
  epoll_fd_.Reset(epoll_create1(EPOLL_CLOEXEC));
  timer_fd_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  nudge_fd_.Reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_fd_.valid() || !timer_fd_.valid() || !nudge_fd_.valid()) {
    return absl::ErrnoToStatus(errno, "epoll_create1, timerfd, eventfd");
  }
  absl::Status status = AddToEpoll(epoll_fd_.get(), timer_fd_.get(), EPOLLIN);
  if (status.ok()) {
    status = AddToEpoll(epoll_fd_.get(), nudge_fd_.get(), EPOLLIN);
  }
  return status;
}

void Connection::Connect() {
  if (state_ == State::kWaiting && TimeToTry()) Try();
  if (state_ == State::kGreeting) Greet();
}

bool Connection::TimeToTry() const { return absl::Now() >= next_try_; }

void Connection::Try() {
  const auto bus = FindBus(options_.dir);
  if (!bus.ok()) {
    status_ = bus.status();
    Schedule();
    return;
  }
  auto pipes = SessionPipes::Offer(*bus, HelloFrame(options_.hello));
  absl::Status status = pipes.status();
  if (status.ok()) {
    pipes_ = *std::move(pipes);
    status = AddToEpoll(epoll_fd_.get(), pipes_.down(), EPOLLIN);
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
  greeting_since_ = absl::Now();
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
  const bool patient = absl::Now() - greeting_since_ < kGreetingPatience;
  if (!alive.ok()) {
    Lose(alive);
  } else if (no_writer && !patient && !pipes_.NamesExist()) {
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
  pipes_.OnWelcome();
  state_ = State::kOpen;
  status_ = absl::OkStatus();
  delay_ = kFirstDelay;
  next_try_ = absl::InfiniteFuture();
  SetTimer();
  goodbye_ = false;
  ++sessions_;
}

void Connection::OnGoodbye() {
  goodbye_ = true;
  if (state_ != State::kOpen) return;
  // What is not in the pipe by now would make the broker wait.
  std::string_view nothing;
  if (Flush(nothing) == FlushOutcome::kLost) return;
  if (unwritten() > 0 || pipes_.UpIsAbandoned()) ++publish_losses_;
  DropUnwritten();
  WatchRoom(false);
  pipes_.CloseUp();
  state_ = State::kLeaving;
  status_ = absl::UnavailableError("the broker is stopping");
}

void Connection::OnFatalError(absl::Status status, Losses losses) {
  if (state_ == State::kOpen) ++publish_losses_;
  if (AnswersMayCome()) {
    ++ends_;
    if (losses == Losses::kUnknown) ++receive_losses_;
  }
  ClosePipes();
  state_ = State::kFailed;
  status_ = std::move(status);
}

void Connection::Lose(absl::Status status) {
  if (state_ == State::kOpen) ++publish_losses_;
  if (AnswersMayCome()) {
    ++ends_;
    ++receive_losses_;
  }
  ClosePipes();
  status_ = std::move(status);
  state_ = options_.reconnect ? State::kWaiting : State::kFailed;
  if (state_ == State::kWaiting) Schedule();
}

void Connection::OnUpBroken() {
  ++publish_losses_;
  DropUnwritten();
  WatchRoom(false);
  pipes_.CloseUp();
  state_ = State::kLeaving;
  status_ = absl::UnavailableError("the broker is gone");
}

void Connection::ClosePipes() {
  // Closing a descriptor that nobody else has takes it out of epoll: epoll(7).
  pipes_ = SessionPipes();
  down_waits_ = false;
  probably_drained_ = false;
  watching_room_ = false;
  KeepBacklog();
  DropUnwritten();
}

// What was read is still to be taken, though its session is over. If the
// backlog of an earlier session is not taken yet, the gap after that one covers
// this too.
void Connection::KeepBacklog() {
  if (!backlog_ && !in_->untaken().empty()) {
    backlog_ = std::exchange(
        in_, std::make_unique<ReceiveBuffer>(options_.receive_bytes_max));
  }
  in_->Clear();
}

void Connection::Schedule() {
  next_try_ = absl::Now() + delay_;
  SetTimer();
  delay_ = std::min(2 * delay_, kLastDelay);
}

void Connection::WakeAt(absl::Time time) {
  if (time == wake_at_) return;
  wake_at_ = time;
  SetTimer();
}

void Connection::SetTimer() {
  const absl::Time at = std::min(next_try_, wake_at_);
  itimerspec after = {};  // zeros: never
  if (at != absl::InfiniteFuture()) {
    after.it_value =
        absl::ToTimespec(std::max(absl::Nanoseconds(1), at - absl::Now()));
  }
  timerfd_settime(timer_fd_.get(), 0, &after, nullptr);
}

Connection::ReadOutcome Connection::Read() {
  if (!AnswersMayCome()) return ReadOutcome::kNothing;
  SetDownWaits(false);
  return Fill();
}

Connection::ReadOutcome Connection::WaitAndRead(absl::Time deadline) {
  const bool only_down = state_ == State::kOpen && unwritten() == 0 &&
                         deadline == absl::InfiniteFuture();
  if (only_down) {
    SetDownWaits(true);
    return Fill();
  }
  Wait(deadline);
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
      if (state_ == State::kOpen) return ReadOutcome::kFull;
      // Who waits for the next session must not wait for Receive. The rest of
      // this one is part of the gap.
      break;
    case ReceiveBuffer::FillOutcome::kEmpty:
      return ReadOutcome::kNothing;
    case ReceiveBuffer::FillOutcome::kEnd:
      break;
  }
  OnDownEnded();
  return ReadOutcome::kNothing;
}

// A subscriber that is ended for being slow may have been too slow to be told
// so: its pipe was full until the broker closed it. A broker that was killed
// and replaced before this client looked is taken for the same.
void Connection::OnDownEnded() {
  const bool asked_for_it =
      options_.hello.overflow() == pb::OVERFLOW_DISCONNECT;
  if (asked_for_it && !goodbye_ && CheckBus(bus_).ok()) {
    OnFatalError(absl::ResourceExhaustedError(
        "the broker ended the session, because this client was too slow and "
        "had asked for that"));
    return;
  }
  Lose(absl::UnavailableError("the broker is gone"));
}

Connection::FlushOutcome Connection::Flush(std::string_view& more) {
  if (state_ != State::kOpen) return FlushOutcome::kLost;
  while (unwritten() + more.size() > 0) {
    const std::array<iovec, 2> parts = {{
        {out_.data() + out_written_, unwritten()},
        {const_cast<char*>(more.data()), std::min(more.size(), kWrittenAtOnce)},
    }};
    // The kernel takes a short cut for one part.
    const ssize_t bytes =
        unwritten() == 0
            ? WriteWithoutSignal(pipes_.up(), &parts[1], 1)
            : WriteWithoutSignal(pipes_.up(), &parts[0], more.empty() ? 1 : 2);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return FlushOutcome::kWouldBlock;
    if (bytes < 0) {
      OnUpBroken();
      return FlushOutcome::kLost;
    }
    const size_t of_out = std::min(static_cast<size_t>(bytes), unwritten());
    out_written_ += of_out;
    more.remove_prefix(static_cast<size_t>(bytes) - of_out);
  }
  DropUnwritten();
  return FlushOutcome::kAll;
}

void Connection::DropUnwritten() {
  out_.clear();
  out_written_ = 0;
}

void Connection::Wait(absl::Time deadline, Room room) {
  const bool connecting =
      state_ == State::kWaiting || state_ == State::kGreeting;
  const absl::Time until =
      connecting ? std::min(deadline, next_try_) : deadline;
  int timeout_millis = -1;
  if (until != absl::InfiniteFuture()) {
    const absl::Duration rest =
        std::max(absl::ZeroDuration(), until - absl::Now());
    timeout_millis = static_cast<int>(absl::ToInt64Milliseconds(
        absl::Ceil(std::min(rest, absl::Hours(1)), absl::Milliseconds(1))));
  }
  std::array<pollfd, 2> fds = {{
      // poll(2) ignores negative descriptors.
      {in_->full() ? -1 : pipes_.down(), POLLIN, 0},
      {room == Room::kWanted || unwritten() > 0 ? pipes_.up() : -1, POLLOUT, 0},
  }};
  (void)poll(fds.data(), fds.size(), timeout_millis);
}

void Connection::WatchRoom(bool watch) {
  if (watch == watching_room_ || pipes_.up() < 0) return;
  watching_room_ = watch;
  if (watch) {
    (void)AddToEpoll(epoll_fd_.get(), pipes_.up(), EPOLLOUT);
  } else {
    (void)epoll_ctl(epoll_fd_.get(), EPOLL_CTL_DEL, pipes_.up(), nullptr);
  }
}

void Connection::Nudge(bool on) {
  if (on == std::exchange(nudged_, on)) return;
  uint64_t count = 1;
  if (on) {
    (void)!write(nudge_fd_.get(), &count, sizeof(count));
  } else {
    (void)!read(nudge_fd_.get(), &count, sizeof(count));
  }
}

}  // namespace fifobus
