#include "clients/cpp/client.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/connection.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

// A batch is written when it is this large: what a default pipe holds.
constexpr size_t kBatchBytes = size_t{64} << 10;

// From this much on a payload is written from the caller's memory and not
// copied behind its head. Not tuned.
constexpr size_t kUncopiedBytes = size_t{16} << 10;

// How often a client that only publishes looks for what the broker says.
constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

// How long the destructor waits for the rest of a partial write.
constexpr absl::Duration kLastFlush = absl::Seconds(1);

absl::Status InvalidName(std::string_view kind, std::string_view name,
                         TopicFault fault) {
  return absl::InvalidArgumentError(fmt::format("the {} \"{}\" {}", kind,
                                                name.substr(0, kTopicBytesMax),
                                                TopicFaultText(fault)));
}

Gap GapOf(std::string_view member) {
  pb::Gap frame;
  (void)frame.ParseFromArray(member.data(), static_cast<int>(member.size()));
  Gap gap;
  gap.messages = frame.messages();
  for (const pb::Gap::Loss& loss : frame.losses()) {
    gap.losses.push_back({loss.topic(), loss.messages()});
  }
  return gap;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Start(ClientOptions options) {
  Connection::Options connection_options;
  connection_options.dir = options.dir;
  connection_options.client_name = options.client_name;
  connection_options.reconnect = options.reconnect;
  connection_options.receive_bytes_max = options.receive_bytes_max;
  auto connection = Connection::Make(std::move(connection_options));
  if (!connection.ok()) return connection.status();
  auto client = std::unique_ptr<Client>(
      new Client(std::move(options), *std::move(connection)));
  client->Progress();
  return client;
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  const absl::Time deadline = absl::Now() + options.connect_timeout;
  auto client = Start(std::move(options));
  if (!client.ok()) return client.status();
  Connection& connection = *(*client)->connection_;
  while (connection.state() != Connection::State::kOpen) {
    if (connection.state() == Connection::State::kFailed ||
        absl::Now() >= deadline) {
      return connection.status();
    }
    connection.Wait(deadline);
    (*client)->Progress();
  }
  return client;
}

Client::Client(ClientOptions options, std::unique_ptr<Connection> connection)
    : options_(std::move(options)),
      connection_(std::move(connection)),
      mode_(options_.mode) {}

Client::~Client() {
  if (connection_->state() != Connection::State::kOpen) return;
  mode_ = Mode::kBlocking;
  (void)FlushOut(absl::Now() + kLastFlush);
}

int Client::fd() const { return connection_->fd(); }

const absl::Status& Client::status() const {
  return status_.ok() ? connection_->status() : status_;
}

void Client::Progress() {
  status_ = absl::OkStatus();
  connection_->Advance();
  if (connection_->sessions() != sessions_seen_) OnNewSession();
}

void Client::OnNewSession() {
  sessions_seen_ = connection_->sessions();
  for (Subscription& subscription : subscriptions_) {
    SendSubscribe(subscription);
  }
}

// Publishing

PublishOutcome Client::Publish(std::string_view topic, std::string_view payload,
                               absl::Time deadline) {
  MessageFields message;
  message.topic = topic;
  message.payload = payload;
  return Publish(message, deadline);
}

PublishOutcome Client::Publish(const MessageFields& message,
                               absl::Time deadline) {
  Progress();
  PublishOutcome outcome = CheckMessage(message);
  if (outcome != PublishOutcome::kSent) return outcome;
  const bool deferred =
      open_batches_ > 0 && connection_->unwritten() < kBatchBytes;
  if (!deferred) LookForGoodbye();
  do {
    outcome = AwaitSession(deadline);
    if (outcome != PublishOutcome::kSent) return outcome;
    // What would make a write of its own anyhow is not copied for it.
    const bool gathered =
        open_batches_ > 0 && message.payload.size() < kBatchBytes;
    outcome =
        gathered ? AddToBatch(message, deadline) : SendNow(message, deadline);
    // The session was lost before any of it was taken: the next one gets it.
  } while (outcome == PublishOutcome::kDisconnected && options_.reconnect);
  return outcome == PublishOutcome::kSent ? SentOutcome() : outcome;
}

PublishOutcome Client::Refuse(absl::Status status) {
  status_ = std::move(status);
  return PublishOutcome::kRefused;
}

PublishOutcome Client::CheckMessage(const MessageFields& message) {
  if (message.topic != checked_topic_) {
    const TopicFault fault = CheckTopic(message.topic);
    if (fault != TopicFault::kNone) {
      return Refuse(InvalidName("topic", message.topic, fault));
    }
    if (IsReserved(message.topic)) {
      return Refuse(absl::InvalidArgumentError(
          fmt::format("the topic \"{}\" is the broker's own: it begins with $",
                      message.topic)));
    }
    checked_topic_ = message.topic;
  }
  const size_t body_bytes = MessageBodyBytes(message);
  if (body_bytes > connection_->frame_bytes_max()) {
    return Refuse(absl::InvalidArgumentError(fmt::format(
        "the message makes a frame of {} bytes and this bus takes {}; put it "
        "into a file and publish the file's name",
        body_bytes, connection_->frame_bytes_max())));
  }
  return PublishOutcome::kSent;
}

PublishOutcome Client::AwaitSession(absl::Time deadline) {
  while (connection_->state() != Connection::State::kOpen) {
    if (connection_->state() == Connection::State::kFailed) {
      return PublishOutcome::kDisconnected;
    }
    if (mode_ != Mode::kBlocking) return PublishOutcome::kWouldBlock;
    if (absl::Now() >= deadline) return PublishOutcome::kTimedOut;
    connection_->Wait(deadline);
    ReadAhead();
    Progress();
  }
  return PublishOutcome::kSent;
}

PublishOutcome Client::AddToBatch(const MessageFields& message,
                                  absl::Time deadline) {
  if (connection_->unwritten() >= kBatchBytes) {
    const PublishOutcome outcome = FlushOut(deadline);
    if (outcome != PublishOutcome::kSent) return outcome;
  }
  AppendMessageFrame(message, connection_->out());
  return PublishOutcome::kSent;
}

PublishOutcome Client::SendNow(const MessageFields& message,
                               absl::Time deadline) {
  // What is left of earlier messages goes first, so that afterwards it is known
  // whether any byte of this one was written.
  const PublishOutcome outcome = FlushOut(deadline);
  if (outcome != PublishOutcome::kSent) return outcome;
  std::string_view rest;
  if (message.payload.size() < kUncopiedBytes) {
    AppendMessageFrame(message, connection_->out());
  } else {
    AppendMessageHead(message, connection_->out());
    rest = message.payload;
  }
  const size_t frame_bytes = connection_->unwritten() + rest.size();
  while (true) {
    switch (connection_->Flush(rest)) {
      case Connection::FlushOutcome::kLost:
        return PublishOutcome::kDisconnected;
      case Connection::FlushOutcome::kAll:
        return PublishOutcome::kSent;
      case Connection::FlushOutcome::kWouldBlock:
        break;
    }
    if (GiveUp(deadline)) {
      connection_->WatchRoom(true);
      if (connection_->unwritten() + rest.size() == frame_bytes) {
        connection_->DropUnwritten();
        return GivenUp();
      }
      // Begun, so it must be finished: the rest is ours now.
      connection_->out().append(rest);
      return PublishOutcome::kSent;
    }
    AwaitRoom(deadline);
  }
}

PublishOutcome Client::FlushOut(absl::Time deadline) {
  std::string_view nothing;
  while (connection_->unwritten() > 0) {
    switch (connection_->Flush(nothing)) {
      case Connection::FlushOutcome::kLost:
        return PublishOutcome::kDisconnected;
      case Connection::FlushOutcome::kAll:
        break;
      case Connection::FlushOutcome::kWouldBlock:
        if (GiveUp(deadline)) {
          connection_->WatchRoom(true);
          return GivenUp();
        }
        AwaitRoom(deadline);
    }
  }
  connection_->WatchRoom(false);
  return connection_->state() == Connection::State::kOpen
             ? PublishOutcome::kSent
             : PublishOutcome::kDisconnected;
}

PublishOutcome Client::Flush(absl::Time deadline) {
  Progress();
  if (connection_->unwritten() == 0) return SentOutcome();
  const PublishOutcome outcome = FlushOut(deadline);
  return outcome == PublishOutcome::kSent ? SentOutcome() : outcome;
}

PublishOutcome Client::SentOutcome() {
  const uint64_t losses = connection_->publish_losses();
  return std::exchange(publish_losses_told_, losses) == losses
             ? PublishOutcome::kSent
             : PublishOutcome::kSentAfterGap;
}

PublishOutcome Client::GivenUp() const {
  return mode_ == Mode::kBlocking ? PublishOutcome::kTimedOut
                                  : PublishOutcome::kWouldBlock;
}

bool Client::GiveUp(absl::Time deadline) const {
  return mode_ != Mode::kBlocking || absl::Now() >= deadline;
}

void Client::AwaitRoom(absl::Time deadline) {
  connection_->Wait(deadline, Connection::Room::kWanted);
  ReadAhead();
}

void Client::LookForGoodbye() {
  const absl::Time now = absl::Now();
  if (now - last_look_ < kLookInterval) return;
  last_look_ = now;
  ReadAhead();
}

Batch::~Batch() {
  if (--client_.open_batches_ == 0) (void)client_.Flush();
}

// Requests

absl::Status Client::Subscribe(std::string_view pattern,
                               absl::Duration timeout) {
  const TopicFault fault = CheckPattern(pattern);
  if (fault != TopicFault::kNone) {
    return InvalidName("pattern", pattern, fault);
  }
  Progress();
  if (FindSubscription(pattern) == nullptr) {
    subscriptions_.push_back({std::string(pattern), 0, false, {}});
    if (connection_->state() == Connection::State::kOpen) {
      SendSubscribe(subscriptions_.back());
    }
  }
  const absl::Status status = WaitFor(
      [&] {
        const Subscription* subscription = FindSubscription(pattern);
        return subscription->acknowledged || !subscription->refusal.ok();
      },
      timeout, "the answer to Subscribe");
  const absl::Status refusal = FindSubscription(pattern)->refusal;
  if (refusal.ok()) return status;
  ForgetSubscription(pattern);
  return refusal;
}

absl::Status Client::Unsubscribe(std::string_view pattern,
                                 absl::Duration timeout) {
  Progress();
  if (FindSubscription(pattern) == nullptr) {
    return absl::NotFoundError(
        fmt::format("not subscribed to \"{}\"", pattern));
  }
  ForgetSubscription(pattern);
  if (connection_->state() != Connection::State::kOpen) {
    return absl::OkStatus();  // the next session will not have it
  }
  pb::Frame frame;
  const uint64_t request = ++last_request_;
  frame.mutable_unsubscribe()->set_request_id(request);
  frame.mutable_unsubscribe()->set_pattern(pattern.data(), pattern.size());
  SendControl(frame);
  const uint64_t session = sessions_seen_;
  return WaitFor(
      [&] {
        return last_unsubscribed_ >= request || sessions_seen_ != session;
      },
      timeout, "the answer to Unsubscribe");
}

absl::Status Client::AwaitOpen(absl::Duration timeout) {
  return WaitFor(
      [&] { return connection_->state() == Connection::State::kOpen; }, timeout,
      "a session");
}

absl::Status Client::Ping(absl::Duration timeout) {
  const absl::Status open = AwaitOpen(timeout);
  if (!open.ok()) return open;
  pb::Frame frame;
  const uint64_t token = ++last_request_;
  frame.mutable_ping()->set_token(token);
  SendControl(frame);
  const uint64_t session = sessions_seen_;
  const absl::Status status =
      WaitFor([&] { return last_pong_ >= token || sessions_seen_ != session; },
              timeout, "the answer to Ping");
  if (status.ok() && last_pong_ < token) {
    return absl::UnavailableError("the broker died before it answered");
  }
  return status;
}

absl::StatusOr<pb::StatsReply> Client::Stats(absl::Duration timeout) {
  const absl::Status open = AwaitOpen(timeout);
  if (!open.ok()) return open;
  pb::Frame frame;
  const uint64_t request = ++last_request_;
  frame.mutable_stats()->set_request_id(request);
  stats_.reset();
  SendControl(frame);
  const uint64_t session = sessions_seen_;
  const absl::Status status = WaitFor(
      [&] {
        return (stats_ && stats_->request_id() == request) ||
               failed_request_ == request || sessions_seen_ != session;
      },
      timeout, "the answer to Stats");
  if (!status.ok()) return status;
  if (failed_request_ == request) return request_error_;
  if (!stats_) {
    return absl::UnavailableError("the broker died before it answered");
  }
  return *std::exchange(stats_, std::nullopt);
}

Client::Subscription* Client::FindSubscription(std::string_view pattern) {
  const auto found =
      std::find_if(subscriptions_.begin(), subscriptions_.end(),
                   [&](const Subscription& s) { return s.pattern == pattern; });
  return found == subscriptions_.end() ? nullptr : &*found;
}

void Client::ForgetSubscription(std::string_view pattern) {
  std::erase_if(subscriptions_, [&](const Subscription& subscription) {
    return subscription.pattern == pattern;
  });
}

void Client::SendSubscribe(Subscription& subscription) {
  subscription.request_id = ++last_request_;
  subscription.acknowledged = false;
  pb::Frame frame;
  frame.mutable_subscribe()->set_request_id(subscription.request_id);
  frame.mutable_subscribe()->set_pattern(subscription.pattern);
  SendControl(frame);
}

void Client::SendControl(const pb::Frame& frame) {
  if (connection_->state() != Connection::State::kOpen) return;
  AppendFrame(frame, connection_->out());
  FlushWithoutWaiting();
}

void Client::FlushWithoutWaiting() {
  if (connection_->unwritten() == 0 || open_batches_ > 0) return;
  std::string_view nothing;
  const bool rest =
      connection_->Flush(nothing) == Connection::FlushOutcome::kWouldBlock;
  connection_->WatchRoom(rest);
}

template <typename Predicate>
absl::Status Client::WaitFor(const Predicate& done, absl::Duration timeout,
                             std::string_view what) {
  const absl::Time deadline = absl::Now() + timeout;
  if (open_batches_ > 0) (void)FlushOut(deadline);
  while (true) {
    Progress();
    Scan();
    if (done()) {
      // Messages may have come with the answer.
      if (!connection_->in().untaken().empty()) connection_->Nudge(true);
      return absl::OkStatus();
    }
    if (connection_->state() == Connection::State::kFailed) return status();
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          fmt::format("{} did not come in {}; {}", what,
                      absl::FormatDuration(timeout), status().ToString()));
    }
    FlushWithoutWaiting();
    if (connection_->Read() != Connection::ReadOutcome::kBytes) {
      connection_->Wait(deadline);
    }
  }
}

// Receiving

Received Client::Receive(absl::Time deadline) {
  while (true) {
    Progress();
    Received got = TakeBuffered();
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    if (connection_->state() == Connection::State::kFailed) {
      got.outcome = ReceiveOutcome::kDisconnected;
      return got;
    }
    FlushWithoutWaiting();
    if (mode_ != Mode::kBlocking || !connection_->probably_drained()) {
      if (connection_->Read() == Connection::ReadOutcome::kBytes) continue;
      if (connection_->receive_losses() != receive_losses_told_) continue;
      if (mode_ == Mode::kNonBlocking) {
        connection_->Nudge(false);
        return got;
      }
      if (absl::Now() >= deadline) {
        got.outcome = ReceiveOutcome::kTimedOut;
        return got;
      }
    }
    if (mode_ == Mode::kBlocking) (void)connection_->WaitAndRead(deadline);
  }
}

Received Client::TakeBuffered() {
  if (ReceiveBuffer* backlog = connection_->backlog()) {
    Received got = TakeFrom(*backlog);
    if (got.outcome != ReceiveOutcome::kWouldBlock) return got;
    connection_->DropBacklog();
  }
  const uint64_t losses = connection_->receive_losses();
  if (std::exchange(receive_losses_told_, losses) != losses &&
      !subscriptions_.empty()) {
    Received got;
    got.outcome = ReceiveOutcome::kGap;
    got.gap.reconnected = true;
    return got;
  }
  return TakeFrom(connection_->in());
}

Received Client::TakeFrom(ReceiveBuffer& buffer) {
  while (true) {
    const std::string_view bytes = buffer.untaken();
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state == FrameExtent::State::kTooLarge) {
      FailOnFrame(FrameFault::kTooLarge);
      return Received();
    }
    if (extent.state == FrameExtent::State::kPartial) {
      buffer.Want(extent.frame_bytes);
      return Received();
    }
    const bool scanned = buffer.IsScanned();
    buffer.Take(extent.frame_bytes);
    const std::string_view frame = bytes.substr(0, extent.frame_bytes);
    const FrameView view = ReadFrame(frame.substr(kFramePrefixBytes));
    if (view.fault != FrameFault::kNone) {
      FailOnFrame(view.fault);
      return Received();
    }
    if (view.kind == FrameKind::kMessage) return Received(frame, view.member);
    if (view.kind == FrameKind::kGap) {
      Received got;
      got.outcome = ReceiveOutcome::kGap;
      got.gap = GapOf(view.member);
      return got;
    }
    if (!scanned) OnControl(view);
  }
}

void Client::ReadAhead() {
  if (connection_->Read() != Connection::ReadOutcome::kBytes) return;
  Scan();
  connection_->Nudge(true);
}

void Client::Scan() {
  while (true) {
    // Asked anew each time: acting on a frame may end the session.
    ReceiveBuffer& in = connection_->in();
    const std::string_view bytes = in.unscanned();
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state != FrameExtent::State::kWhole) {
      if (!in.IsScanned()) in.Want(extent.frame_bytes);
      return;
    }
    in.Scan(extent.frame_bytes);
    const FrameView view = ReadFrame(bytes.substr(
        kFramePrefixBytes, extent.frame_bytes - kFramePrefixBytes));
    if (view.fault == FrameFault::kNone && view.kind != FrameKind::kMessage &&
        view.kind != FrameKind::kGap) {
      OnControl(view);
    }
  }
}

void Client::OnControl(const FrameView& view) {
  const auto parse = [&view](google::protobuf::Message& message) {
    (void)message.ParseFromArray(view.member.data(),
                                 static_cast<int>(view.member.size()));
  };
  switch (view.kind) {
    case FrameKind::kSubscribed: {
      pb::Subscribed subscribed;
      parse(subscribed);
      for (Subscription& subscription : subscriptions_) {
        if (subscription.request_id == subscribed.request_id()) {
          subscription.acknowledged = true;
        }
      }
      break;
    }
    case FrameKind::kUnsubscribed: {
      pb::Unsubscribed unsubscribed;
      parse(unsubscribed);
      last_unsubscribed_ = unsubscribed.request_id();
      break;
    }
    case FrameKind::kPong: {
      pb::Pong pong;
      parse(pong);
      last_pong_ = pong.token();
      break;
    }
    case FrameKind::kStatsReply:
      parse(stats_.emplace());
      break;
    case FrameKind::kError: {
      pb::Error error;
      parse(error);
      OnError(error);
      break;
    }
    case FrameKind::kGoodbye:
      connection_->OnGoodbye();
      break;
    default:
      break;  // of a newer broker
  }
}

void Client::OnError(const pb::Error& error) {
  const absl::Status status = absl::FailedPreconditionError(
      fmt::format("the broker refused: {}", error.text()));
  if (error.request_id() == 0) {
    connection_->OnFatalError(status);
    return;
  }
  failed_request_ = error.request_id();
  request_error_ = status;
  for (Subscription& subscription : subscriptions_) {
    if (subscription.request_id == error.request_id()) {
      subscription.refusal = status;
    }
  }
}

void Client::FailOnFrame(FrameFault fault) {
  connection_->OnFatalError(absl::DataLossError(
      fmt::format("the broker sent a bad frame: {}", FrameFaultText(fault))));
}

}  // namespace fifobus
