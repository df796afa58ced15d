#include "broker/core/sessions/session.h"

#include <unistd.h>

#include <utility>

#include "broker/core/delivery/queue_stats.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"
#include "proto/version.h"

namespace fifobus {
namespace {

// A client's name is for people; longer ones are cut.
constexpr size_t kClientNameBytesMax = 64;

// Keeps log lines and listings whole, whatever the client calls itself.
std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, kClientNameBytesMax));
  for (char& c : printable) {
    if (c < ' ' || c > '~') c = '?';
  }
  return printable;
}

FrameFault FaultOf(Router::Outcome outcome) {
  switch (outcome) {
    case Router::Outcome::kRouted:
      return FrameFault::kNone;
    case Router::Outcome::kBadTopic:
      return FrameFault::kBadTopic;
    case Router::Outcome::kReservedTopic:
      return FrameFault::kReservedTopic;
    case Router::Outcome::kDenied:  // is answered in another way
      break;
  }
  return FrameFault::kBadTopic;
}

pb::Error::Code CodeOf(FrameFault fault) {
  switch (fault) {
    case FrameFault::kTooLarge:
      return pb::Error::CODE_FRAME_TOO_LARGE;
    case FrameFault::kBadTopic:
    case FrameFault::kReservedTopic:
      return pb::Error::CODE_BAD_TOPIC;
    case FrameFault::kUnknownMember:
      return pb::Error::CODE_UNEXPECTED_FRAME;
    default:
      return pb::Error::CODE_BAD_FRAME;
  }
}

}  // namespace

Session::Session(uint64_t number, const SessionContext& context,
                 std::shared_ptr<Egress> egress)
    : number_(number),
      context_(context),
      egress_(std::move(egress)),
      answers_(egress_),
      requests_(context, egress_, answers_) {}

void Session::SetValve(std::shared_ptr<Valve> valve) {
  valve_ = std::move(valve);
  egress_->SetOwnValve(valve_);
}

void Session::SetOwner(uint32_t uid) {
  client_uid_ = uid;
  requests_.SetOwner(uid);
}

FeedResult Session::OnBytes(const ChunkRef& chunk, std::string_view bytes) {
  FeedResult result;
  context_.router.Begin(chunk, valve_, {client_uid_, number_});
  repeated_.Forget();
  while (result.outcome == FeedOutcome::kContinue) {
    const std::string_view rest = bytes.substr(result.bytes_taken);
    if (RouteRepeated(rest)) {
      result.bytes_taken += repeated_.frame_bytes();
      continue;
    }
    const FrameExtent extent =
        FindFrame(rest, context_.options.frame_bytes_max);
    if (extent.state == FrameExtent::State::kTooLarge) {
      result.outcome = RefuseFrame(FrameFault::kTooLarge);
    } else if (extent.state == FrameExtent::State::kPartial) {
      result.bytes_wanted = extent.frame_bytes;
      break;
    } else {
      result.outcome = OnFrame(rest.substr(0, extent.frame_bytes));
      result.bytes_taken += extent.frame_bytes;
    }
  }
  if (FlushMessages() == FeedOutcome::kClose) {
    result.outcome = FeedOutcome::kClose;
  }
  return result;
}

FeedOutcome Session::OnHangUp(std::string_view rest) {
  // A killed writer leaves the beginning of a frame. It was never published.
  if (!rest.empty()) context_.counters.frames_torn.Add();
  phase_ = Phase::kOver;
  return FeedOutcome::kClose;
}

void Session::OnHalfReceivedLimit() {
  (void)Refuse(pb::Error::CODE_LIMIT,
               "the broker holds too many half-received frames");
}

void Session::EndSubscriptions() {
  requests_.EndSubscriptions();
  egress_->Close();
}

void Session::PublishEnd(std::string_view reason) {
  if (!greeted_) return;
  if (!will_.empty()) {
    context_.counters.wills_published.Add();
    will_.Publish(context_.router, valve_, {client_uid_, number_});
  }
  if (reason.empty()) reason = left_ ? "goodbye" : "hang-up";
  PublishDisconnected(Identity(), reason, context_.router);
}

FeedOutcome Session::OnRules() {
  if (phase_ != Phase::kOpen) return FeedOutcome::kContinue;
  const std::optional<std::string> denied = requests_.FindDenied();
  return denied ? Deny("subscribe to", *denied) : FeedOutcome::kContinue;
}

void Session::SayGoodbye(std::string_view reason) {
  if (phase_ == Phase::kOver) return;
  pb::Frame frame;
  frame.mutable_goodbye()->set_reason(reason.data(), reason.size());
  (void)Note(answers_.Send(frame));
}

void Session::AppendStats(pb::StatsReply& reply) const {
  pb::StatsReply::Session& session = *reply.add_sessions();
  session.set_number(number_);
  session.set_published(published_.value());
  session.set_published_bytes(published_bytes_.value());
  session.set_uid(client_uid_);
  session.set_connected_unix_nanos(connected_unix_nanos_);
  *session.mutable_queue() = QueueStats(egress_->state());
  requests_.AppendPatterns(session);
  MutexLock lock(mutex_);
  session.set_client_name(client_name_);
  session.set_pid(client_pid_);
}

ClientIdentity Session::Identity() const {
  MutexLock lock(mutex_);
  return {number_, client_name_, client_pid_, client_uid_};
}

std::string Session::ClientText() const {
  MutexLock lock(mutex_);
  return fmt::format("{}[{}]", client_name_, client_pid_);
}

bool Session::RouteRepeated(std::string_view bytes) {
  if (!repeated_.IsFrontOf(bytes) ||
      !context_.router.AddRepeated({bytes.data(), repeated_.frame_bytes()},
                                   repeated_.payload_bytes())) {
    return false;
  }
  ++unflushed_messages_;
  unflushed_bytes_ += repeated_.frame_bytes();
  return true;
}

FeedOutcome Session::OnFrame(std::string_view frame) {
  const FrameView view = ReadWholeFrame(frame);
  if (view.fault != FrameFault::kNone) return RefuseFrame(view.fault);
  if (view.kind == FrameKind::kMessage) return OnMessage(frame, view.member);
  // What was published before this frame goes out before its answer.
  if (FlushMessages() == FeedOutcome::kClose) return FeedOutcome::kClose;
  const FeedOutcome outcome = OnControl(view);
  context_.router.Refresh();
  return outcome;
}

FeedOutcome Session::OnMessage(std::string_view frame,
                               std::string_view member) {
  if (phase_ != Phase::kOpen) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                  "a session begins with Hello");
  }
  const MessageView message = ReadMessage(member);
  FrameFault fault = message.fault;
  if (fault == FrameFault::kNone) {
    const Router::Outcome outcome = context_.router.Add(frame, message);
    if (outcome == Router::Outcome::kDenied) {
      return Deny("publish on", message.topic);
    }
    fault = FaultOf(outcome);
  }
  if (fault != FrameFault::kNone) return RefuseFrame(fault);
  ++unflushed_messages_;
  unflushed_bytes_ += frame.size();
  repeated_.Remember(frame, message);
  if (message.confirm_id != 0) Confirm(message);
  return FeedOutcome::kContinue;
}

void Session::Confirm(const MessageView& message) {
  const Router::Receivers receivers = context_.router.LastReceivers(message);
  pb::Frame frame;
  pb::Confirm& confirm = *frame.mutable_confirm();
  confirm.set_confirm_id(message.confirm_id);
  confirm.set_level(pb::Confirm::LEVEL_ACCEPTED);
  confirm.set_sessions(receivers.sessions);
  confirm.set_taps(receivers.taps);
  confirm.set_retained(receivers.retained);
  AppendFrame(frame, confirms_);
}

FeedOutcome Session::FlushMessages() {
  if (unflushed_messages_ > 0) {
    // First: a subscriber that has a message finds it counted.
    published_.Add(std::exchange(unflushed_messages_, 0));
    published_bytes_.Add(std::exchange(unflushed_bytes_, 0));
  }
  context_.router.Flush();
  if (confirms_.empty()) return FeedOutcome::kContinue;
  return Note(answers_.SendFrames(std::exchange(confirms_, {})));
}

template <typename Control, typename Target>
FeedOutcome Session::Parse(const FrameView& view, Target& target,
                           FeedOutcome (Target::*on_control)(const Control&)) {
  Control control;
  const int size = static_cast<int>(view.member.size());
  if (!control.ParseFromArray(view.member.data(), size)) {
    return RefuseFrame(FrameFault::kMalformed);
  }
  return Note((target.*on_control)(control));
}

FeedOutcome Session::OnControl(const FrameView& view) {
  if (view.kind == FrameKind::kGoodbye) {
    return Parse(view, *this, &Session::OnGoodbye);
  }
  if (view.kind == FrameKind::kHello) {
    return Parse(view, *this, &Session::OnHello);
  }
  if (phase_ != Phase::kOpen) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                  "a session begins with Hello");
  }
  return OnRequest(view);
}

FeedOutcome Session::OnGoodbye(const pb::Goodbye& goodbye) {
  left_ = true;
  will_.Clear();
  context_.counters.messages_taken_along.Add(goodbye.taken_along());
  requests_.NoteTakenAlong(goodbye.taken_along());
  return FeedOutcome::kContinue;
}

FeedOutcome Session::OnRequest(const FrameView& view) {
  switch (view.kind) {
    case FrameKind::kSubscribe:
      return Parse(view, requests_, &SessionRequests::OnSubscribe);
    case FrameKind::kUnsubscribe:
      return Parse(view, requests_, &SessionRequests::OnUnsubscribe);
    case FrameKind::kAck:
      return Parse(view, requests_, &SessionRequests::OnAck);
    case FrameKind::kPing:
      return Parse(view, requests_, &SessionRequests::OnPing);
    case FrameKind::kStats:
      return Parse(view, requests_, &SessionRequests::OnStats);
    default:
      return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                    fmt::format("frame {} is not for the broker",
                                static_cast<uint32_t>(view.kind)));
  }
}

FeedOutcome Session::OnHello(const pb::Hello& hello) {
  if (phase_ != Phase::kAwaitingHello) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME, "a second Hello");
  }
  if (hello.protocol_version() != kProtocolVersion) {
    return Refuse(pb::Error::CODE_UNSUPPORTED_VERSION,
                  fmt::format("this broker speaks protocol version {}",
                              kProtocolVersion));
  }
  const std::optional<OverflowPolicy> policy = requests_.SetPolicy(hello);
  if (!policy) {
    return Refuse(pb::Error::CODE_BAD_OVERFLOW,
                  "this bus does not allow the overflow policy asked for; see "
                  "serve --overflow-allowed");
  }
  if (hello.has_will() && SetWill(hello.will()) == FeedOutcome::kClose) {
    return FeedOutcome::kClose;
  }
  {
    MutexLock lock(mutex_);
    client_name_ = Printable(hello.client_name());
    client_pid_ = hello.pid();
  }
  phase_ = Phase::kOpen;
  greeted_ = true;
  return Greet(*policy);
}

FeedOutcome Session::SetWill(const pb::Message& will) {
  const FrameFault fault = will_.Set(will, context_.options.frame_bytes_max);
  if (fault != FrameFault::kNone) {
    return Refuse(CodeOf(fault),
                  fmt::format("the will: {}", FrameFaultText(fault)));
  }
  if (!will_.IsAllowed(context_.table.snapshot()->rules(), client_uid_)) {
    return Deny("publish a will", will.topic());
  }
  return FeedOutcome::kContinue;
}

FeedOutcome Session::Greet(const OverflowPolicy& policy) {
  pb::Frame frame;
  pb::Welcome& welcome = *frame.mutable_welcome();
  welcome.set_protocol_version(kProtocolVersion);
  welcome.set_frame_bytes_max(
      static_cast<uint32_t>(context_.options.frame_bytes_max));
  welcome.set_broker_version(kVersion.data(), kVersion.size());
  welcome.set_broker_pid(static_cast<uint32_t>(getpid()));
  welcome.set_session_number(number_);
  welcome.set_queue_bytes_max(policy.limits.bytes_max);
  welcome.set_queue_messages_max(policy.limits.messages_max);
  const FeedOutcome outcome = answers_.Send(frame);
  PublishConnected(Identity(), context_.router);
  return outcome;
}

FeedOutcome Session::Note(FeedOutcome outcome) {
  if (outcome == FeedOutcome::kClose) phase_ = Phase::kOver;
  return outcome;
}

FeedOutcome Session::Refuse(pb::Error::Code code, std::string text) {
  context_.counters.frames_refused.Add();
  // What came before the bad frame was good.
  (void)FlushMessages();
  return Note(answers_.RefuseSession(code, std::move(text)));
}

FeedOutcome Session::Deny(std::string_view what, std::string_view name) {
  return Refuse(pb::Error::CODE_DENIED, DeniedText(client_uid_, what, name));
}

FeedOutcome Session::RefuseFrame(FrameFault fault) {
  std::string text(FrameFaultText(fault));
  if (fault == FrameFault::kTooLarge) {
    text += fmt::format(" ({} bytes)", context_.options.frame_bytes_max);
  }
  return Refuse(CodeOf(fault), std::move(text));
}

}  // namespace fifobus
