#include "clients/cpp/internal/outbound.h"

#include <time.h>

#include <string>
#include <utility>

#include "clients/cpp/internal/confirms.h"
#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/message_check.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

// A batch is written when it is this large: what a default pipe holds.
constexpr size_t kBatchBytes = size_t{64} << 10;

// From this much on a payload is written from the caller's memory and not
// copied behind its head. Not tuned.
constexpr size_t kUncopiedBytes = size_t{16} << 10;

// More than tags, lengths, numbers and two topics take. To count them exactly
// would cost as much as encoding a small message.
constexpr size_t kHeadBytesMax = 1024;

// More than the broker has at most of what was just written: of 256 KiB each.
constexpr int kReadsInARow = 16;

// How often a client that only publishes looks for what the broker says.
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

// Good to a few milliseconds, and much cheaper than the exact time:
// bench/DECISIONS.md.
absl::Duration CoarseUptime() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return absl::DurationFromTimespec(now);
}

// Whether it has nothing but a topic and a payload.
bool IsPlain(const MessageFields& message) {
  return (message.sequence | message.publish_time_unix_nanos |
          message.reply_topic.size() | message.content_type.size() |
          message.expiry_unix_nanos | message.headers.size() |
          uint64_t{message.retain} | message.confirm_id) == 0;
}

}  // namespace

PublishOutcome Outbound::Publish(std::string_view topic,
                                 std::string_view payload,
                                 const Patience& patience) {
  if (AddRepeated(topic, payload)) return PublishOutcome::kSent;
  MessageFields message;
  message.topic = topic;
  message.payload = payload;
  return Publish(message, patience);
}

bool Outbound::AddRepeated(std::string_view topic, std::string_view payload) {
  if (!repeated_.Fits(topic, payload.size())) return false;
  Connection& connection = dialogue_.connection();
  dialogue_.Progress();
  const size_t unwritten = connection.unwritten();
  // The first of a batch, and the last, have more to do.
  if (unwritten == 0 || unwritten >= kBatchBytes || !dialogue_.batching() ||
      connection.state() != Connection::State::kOpen ||
      connection.sessions() != repeated_session_ ||
      connection.publish_losses() != losses_told_) {
    return false;
  }
  connection.out().append(repeated_.bytes()).append(payload);
  return true;
}

PublishOutcome Outbound::SendNumbered(const MessageFields& message,
                                      const Patience& patience) {
  Connection& connection = dialogue_.connection();
  Confirms& confirms = dialogue_.confirms();
  dialogue_.Progress();
  // The number depends on Welcome.
  PublishOutcome outcome = AwaitSession(patience);
  if (outcome != PublishOutcome::kSent) return outcome;
  MessageFields numbered = message;
  if (numbered.sequence == 0) numbered.sequence = dialogue_.numbering().Next();
  const bool keeps = confirms.Keeps(numbered);
  if (keeps) {
    outcome = AwaitRoomToKeep(kFramePrefixBytes + MessageBodyBytes(numbered),
                              patience);
    if (outcome != PublishOutcome::kSent) return outcome;
  }
  outcome = SendGiven(numbered, patience);
  if (outcome != PublishOutcome::kSent) return outcome;
  dialogue_.numbering().OnSent(numbered.sequence);
  if (keeps) {
    std::string frame;
    AppendMessageFrame(numbered, frame);
    confirms.Keep(numbered.confirm_id, connection.sessions(), std::move(frame));
  } else {
    unkept_to_ = connection.sessions();
    if (unkept_from_ == 0) unkept_from_ = unkept_to_;
  }
  return outcome;
}

PublishOutcome Outbound::AwaitRoomToKeep(size_t frame_bytes,
                                         const Patience& patience) {
  Connection& connection = dialogue_.connection();
  Confirms& confirms = dialogue_.confirms();
  if (confirms.full()) {
    return Refuse(absl::ResourceExhaustedError(fmt::format(
        "{} confirmations are awaited: take them by Receive", Confirms::kMax)));
  }
  if (confirms.HasRoomFor(frame_bytes)) return PublishOutcome::kSent;
  dialogue_.ReadAhead();
  (void)dialogue_.WaitFor(
      [&] {
        return confirms.HasRoomFor(frame_bytes) || connection.in().full();
      },
      patience.mode == Mode::kBlocking ? patience.deadline.Rest()
                                       : absl::ZeroDuration(),
      "a confirmation");
  if (confirms.HasRoomFor(frame_bytes)) return PublishOutcome::kSent;
  if (connection.state() == Connection::State::kFailed) {
    return PublishOutcome::kDisconnected;
  }
  if (connection.in().full()) {
    return Refuse(absl::ResourceExhaustedError(
        "resend_bytes_max is reached, and no confirmation can be read, because "
        "what was read ahead has reached receive_bytes_max: take messages by "
        "Receive"));
  }
  return patience.GivenUp();
}

PublishOutcome Outbound::SendGiven(const MessageFields& message,
                                   const Patience& patience) {
  Connection& connection = dialogue_.connection();
  dialogue_.Progress();
  PublishOutcome outcome = CheckMessage(message);
  if (outcome != PublishOutcome::kSent) return outcome;
  // The first message of a batch looks too: what is gathered for a session that
  // is over would be lost.
  const bool deferred = dialogue_.batching() && connection.unwritten() > 0 &&
                        connection.unwritten() < kBatchBytes;
  if (!deferred) LookForGoodbye();
  // Not after the message: its answer is to be read by the call that waits.
  KeepPace();
  do {
    if (connection.state() != Connection::State::kOpen) {
      outcome = AwaitSession(patience);
      if (outcome != PublishOutcome::kSent) return outcome;
    }
    // What would make a write of its own anyhow is not copied for it.
    const bool gathered =
        dialogue_.batching() && message.payload.size() < kBatchBytes;
    outcome =
        gathered ? AddToBatch(message, patience) : SendNow(message, patience);
    // The session was lost before any of it was taken: the next one gets it.
  } while (outcome == PublishOutcome::kDisconnected);
  return outcome;
}

// Otherwise the queue of a client that publishes what it is subscribed to would
// be full soon, and drop its oldest at once: the broker does not hold back a
// client for the sake of its own queue.
void Outbound::KeepPace() {
  const uint64_t written = dialogue_.connection().written();
  if (written - read_up_to_ < kBatchBytes) return;
  read_up_to_ = written;
  if (!dialogue_.subscriptions().MissesMessages()) return;
  for (int i = 0; i < kReadsInARow; ++i) {
    if (dialogue_.ReadAhead() != Connection::ReadOutcome::kBytes) return;
  }
}

PublishOutcome Outbound::Refuse(absl::Status status) {
  dialogue_.SetRefusal(std::move(status));
  return PublishOutcome::kRefused;
}

PublishOutcome Outbound::CheckMessage(const MessageFields& message) {
  absl::Status status;
  if (message.confirm_level != 0) [[unlikely]] {
    status = CheckConfirmLevel(message);
    if (!status.ok()) return Refuse(std::move(status));
  }
  if (message.topic != checked_topic_) {
    status = CheckPublishTopic(message.topic);
    if (!status.ok()) return Refuse(std::move(status));
    checked_topic_ = message.topic;
  }
  if ((message.reply_topic.size() | message.content_type.size() |
       message.headers.size()) != 0) {
    status = CheckMetadata(message);
    if (!status.ok()) return Refuse(std::move(status));
  }
  const size_t bytes_max = dialogue_.connection().frame_bytes_max();
  if (message.headers.empty() &&
      message.payload.size() + message.content_type.size() + kHeadBytesMax <=
          bytes_max) {
    return PublishOutcome::kSent;
  }
  const size_t body_bytes = MessageBodyBytes(message);
  if (body_bytes > bytes_max) {
    return Refuse(absl::InvalidArgumentError(fmt::format(
        "the message makes a frame of {} bytes and this bus takes {}; put it "
        "into a file and publish the file's name",
        body_bytes, bytes_max)));
  }
  return PublishOutcome::kSent;
}

PublishOutcome Outbound::AwaitSession(const Patience& patience) {
  Connection& connection = dialogue_.connection();
  while (connection.state() != Connection::State::kOpen) {
    // A session is made anew when the last one was read to its end. What is
    // read may be why there will be none.
    dialogue_.ReadAhead();
    dialogue_.Progress();
    if (connection.state() == Connection::State::kOpen) break;
    if (connection.state() == Connection::State::kFailed) {
      return PublishOutcome::kDisconnected;
    }
    if (patience.IsOver()) return patience.GivenUp();
    connection.Wait(patience.deadline, Connection::Room::kUnwanted);
  }
  return PublishOutcome::kSent;
}

PublishOutcome Outbound::AddToBatch(const MessageFields& message,
                                    const Patience& patience) {
  if (dialogue_.connection().unwritten() >= kBatchBytes) {
    const PublishOutcome outcome = FlushAll(patience);
    if (outcome != PublishOutcome::kSent) return outcome;
  }
  std::string& out = dialogue_.connection().out();
  const size_t begin = out.size();
  AppendMessageFrame(message, out);
  if (IsPlain(message)) {
    repeated_.Remember(message.topic, message.payload.size(),
                       std::string_view(out).substr(begin));
    repeated_session_ = dialogue_.connection().sessions();
  }
  return PublishOutcome::kSent;
}

PublishOutcome Outbound::SendNow(const MessageFields& message,
                                 const Patience& patience) {
  Connection& connection = dialogue_.connection();
  // What is left of earlier messages goes first, so that afterwards it is known
  // whether any byte of this one was written.
  const PublishOutcome outcome = FlushAll(patience);
  if (outcome != PublishOutcome::kSent) return outcome;
  std::string_view rest;
  connection.BeginCallers();
  if (message.payload.size() < kUncopiedBytes) {
    AppendMessageFrame(message, connection.out());
  } else {
    AppendMessageHead(message, connection.out());
    rest = message.payload;
  }
  const size_t frame_bytes = connection.unwritten() + rest.size();
  while (true) {
    switch (connection.Flush(rest)) {
      case Connection::FlushOutcome::kLost:
        return PublishOutcome::kDisconnected;
      case Connection::FlushOutcome::kAll:
        return PublishOutcome::kSent;
      case Connection::FlushOutcome::kWouldBlock:
        break;
    }
    if (patience.IsOver()) {
      connection.WatchRoom(true);
      if (connection.unwritten() + rest.size() == frame_bytes) {
        connection.DropUnwritten();
        return patience.GivenUp();
      }
      // Begun, so it must be finished: the rest is ours now.
      connection.EndCallers();
      connection.out().append(rest);
      return PublishOutcome::kSent;
    }
    AwaitRoom(patience.deadline);
  }
}

PublishOutcome Outbound::FlushAll(const Patience& patience) {
  Connection& connection = dialogue_.connection();
  std::string_view nothing;
  while (connection.unwritten() > 0) {
    switch (connection.Flush(nothing)) {
      case Connection::FlushOutcome::kLost:
        return PublishOutcome::kDisconnected;
      case Connection::FlushOutcome::kAll:
        break;
      case Connection::FlushOutcome::kWouldBlock:
        if (patience.IsOver()) {
          connection.WatchRoom(true);
          return patience.GivenUp();
        }
        AwaitRoom(patience.deadline);
    }
  }
  connection.WatchRoom(false);
  return connection.state() == Connection::State::kOpen
             ? PublishOutcome::kSent
             : PublishOutcome::kDisconnected;
}

PublishOutcome Outbound::Flush(const Patience& patience) {
  PublishOutcome outcome = FlushSession(patience);
  // What the last session left is not written before there is another one.
  while (outcome == PublishOutcome::kSent &&
         (dialogue_.HasRemains() || dialogue_.connection().unwritten() > 0)) {
    outcome = AwaitSession(patience);
    if (outcome == PublishOutcome::kSent) outcome = FlushSession(patience);
  }
  return outcome == PublishOutcome::kSent ? SentOutcome() : outcome;
}

PublishOutcome Outbound::FlushSession(const Patience& patience) {
  dialogue_.Progress();
  if (dialogue_.connection().unwritten() == 0) {
    // Whether there is still a broker that reads what was written.
    dialogue_.ReadAhead();
    return dialogue_.connection().state() == Connection::State::kFailed
               ? PublishOutcome::kDisconnected
               : PublishOutcome::kSent;
  }
  const PublishOutcome outcome = FlushAll(patience);
  // What is not written now goes into the next session, if there is one.
  const bool goes_on =
      outcome == PublishOutcome::kDisconnected &&
      dialogue_.connection().state() != Connection::State::kFailed;
  return goes_on ? PublishOutcome::kSent : outcome;
}

PublishOutcome Outbound::SentOutcome() {
  return TakeLosses() == Losses::kNone ? PublishOutcome::kSent
                                       : PublishOutcome::kSentAfterGap;
}

absl::Status Outbound::FailureOf(PublishOutcome outcome) const {
  switch (outcome) {
    case PublishOutcome::kSent:
    case PublishOutcome::kSentAfterGap:
      return absl::OkStatus();
    case PublishOutcome::kWouldBlock:
    case PublishOutcome::kTimedOut:
      return absl::DeadlineExceededError(fmt::format(
          "the message was not sent in time: {}",
          dialogue_.status().ok()
              ? "the broker does not read on, because subscribers are slow"
              : std::string(dialogue_.status().message())));
    case PublishOutcome::kRefused:
    case PublishOutcome::kDisconnected:
      break;
  }
  return dialogue_.status();
}

Outbound::Losses Outbound::TakeLosses() {
  const Connection& connection = dialogue_.connection();
  const uint64_t losses = connection.publish_losses();
  if (std::exchange(losses_told_, losses) == losses) return Losses::kNone;
  if (!dialogue_.confirms().keeps()) return Losses::kUnknown;
  // What was kept is sent again, and so is not lost.
  const uint64_t open =
      connection.sessions() +
      (connection.state() == Connection::State::kOpen ? 0 : 1);
  if (unkept_from_ == 0 || unkept_from_ >= open) return Losses::kNone;
  unkept_from_ = unkept_to_ >= open ? unkept_to_ : 0;
  return Losses::kUnknown;
}

void Outbound::AwaitRoom(Deadline deadline) {
  dialogue_.connection().Wait(deadline, Connection::Room::kWanted);
  dialogue_.ReadAhead();
}

void Outbound::LookForGoodbye() {
  const absl::Duration now = CoarseUptime();
  if (now - last_look_ < kLookInterval) return;
  last_look_ = now;
  dialogue_.ReadAhead();
}

}  // namespace fifobus
