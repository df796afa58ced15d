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
    case Router::Outcome::kDenied:  // these are answered in another way
    case Router::Outcome::kRepeated:
    case Router::Outcome::kNoSequence:
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
      requests_(number, context, egress_, answers_, fence_,
                [this](FeedOutcome outcome) {
                  if (on_answers_) on_answers_(Note(outcome));
                }),
      pending_(context.options.log_answers_max, context.worker, answers_,
               [this](FeedOutcome outcome) {
                 if (on_answers_) on_answers_(Note(outcome));
               }),
      owed_(context.router, pending_),
      name_(context.publishers, number) {}

void Session::SetValve(std::shared_ptr<Valve> valve) {
  valve_ = std::move(valve);
  egress_->SetOwnValve(valve_);
  pending_.SetValve(valve_);
}

void Session::SetOwner(uint32_t uid) {
  client_uid_ = uid;
  requests_.SetOwner(uid);
}

FeedResult Session::OnBytes(const ChunkRef& chunk, std::string_view bytes) {
  name_.BeginTurn();
  FeedResult result;
  if (name_.is_lost()) {
    result.outcome = RefuseFenced();
  } else {
    context_.router.Begin(chunk, valve_, {client_uid_, number_, name_.named()});
    result = TakeFrames(bytes);
    if (FlushMessages() == FeedOutcome::kClose) {
      result.outcome = FeedOutcome::kClose;
    }
  }
  name_.EndTurn();
  return result;
}

FeedResult Session::TakeFrames(std::string_view bytes) {
  FeedResult result;
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

void Session::Leave() {
  requests_.EndSubscriptions();
  requests_.EndMemberships();
}

void Session::Release() {
  pending_.Forget();
  name_.GiveUp();
}

void Session::PublishEnd(std::string_view reason) {
  if (!greeted_) return;
  name_.BeginTurn();
  if (!will_.empty() && !name_.is_lost()) {
    context_.counters.wills_published.Add();
    // Without the name: its sequence is none of the stream's.
    will_.Publish(context_.router, valve_, {client_uid_, number_});
  }
  name_.EndTurn();
  if (reason.empty()) reason = left_ ? "goodbye" : "hang-up";
  PublishDisconnected(Identity(), reason, context_.router);
}

FeedOutcome Session::OnRules() {
  if (phase_ != Phase::kOpen) return FeedOutcome::kContinue;
  const std::optional<std::string> denied = requests_.FindDenied();
  return denied ? Deny("subscribe to", *denied) : FeedOutcome::kContinue;
}

FeedOutcome Session::OnFenced(std::string text) {
  if (phase_ != Phase::kOpen) return FeedOutcome::kContinue;
  context_.counters.sessions_fenced.Add();
  return Note(answers_.RefuseSession(pb::Error::CODE_FENCED, std::move(text)));
}

FeedOutcome Session::RefuseFenced() {
  return OnFenced(FencedText(name_.named()->name()));
}

void Session::SayGoodbye(std::string_view reason) {
  requests_.StopReading();
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
    if (outcome == Router::Outcome::kRepeated) {
      if (message.confirm_id != 0) owed_.Add(message, /*duplicate=*/true);
      return FeedOutcome::kContinue;
    }
    if (outcome == Router::Outcome::kDenied) {
      return Deny("publish on", message.topic);
    }
    if (outcome == Router::Outcome::kNoSequence) {
      return Refuse(pb::Error::CODE_BAD_FRAME,
                    fmt::format("a publisher with a name numbers its messages "
                                "on \"{}\", which a log stores, from 1",
                                message.topic));
    }
    fault = FaultOf(outcome);
  }
  if (fault != FrameFault::kNone) return RefuseFrame(fault);
  ++unflushed_messages_;
  unflushed_bytes_ += frame.size();
  repeated_.Remember(frame, message);
  if (message.confirm_id != 0) owed_.Add(message, /*duplicate=*/false);
  return FeedOutcome::kContinue;
}

FeedOutcome Session::FlushMessages() {
  if (unflushed_messages_ > 0) {
    // First: a subscriber that has a message finds it counted.
    published_.Add(std::exchange(unflushed_messages_, 0));
    published_bytes_.Add(std::exchange(unflushed_bytes_, 0));
  }
  context_.router.Flush();
  owed_.Settle(name_.named());
  return Note(pending_.Send());
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

FeedOutcome Session::OnPing(const pb::Ping& ping) {
  const pb::Confirm::Level level = LevelOf(ping.level());
  if (level > pb::Confirm::LEVEL_ACCEPTED) {
    pending_.AddPong(ping.token(), level);
    return pending_.Send();
  }
  pb::Frame frame;
  frame.mutable_pong()->set_token(ping.token());
  frame.mutable_pong()->set_level(pb::Confirm::LEVEL_ACCEPTED);
  return answers_.Send(frame);
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
      return Parse(view, *this, &Session::OnPing);
    case FrameKind::kStats:
      return Parse(view, requests_, &SessionRequests::OnStats);
    case FrameKind::kLogRequest:
      return Parse(view, requests_, &SessionRequests::OnLogRequest);
    default:
      return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                    fmt::format("frame {} is not for the broker",
                                static_cast<uint32_t>(view.kind)));
  }
}

std::optional<FeedOutcome> Session::RefuseHello(const pb::Hello& hello) {
  if (phase_ != Phase::kAwaitingHello) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME, "a second Hello");
  }
  if (hello.protocol_version() != kProtocolVersion) {
    return Refuse(pb::Error::CODE_UNSUPPORTED_VERSION,
                  fmt::format("this broker speaks protocol version {}",
                              kProtocolVersion));
  }
  if (hello.publisher().empty()) return std::nullopt;
  std::string fault = PublisherNameFault(hello.publisher());
  if (fault.empty()) return std::nullopt;
  return Refuse(pb::Error::CODE_BAD_FRAME, std::move(fault));
}

FeedOutcome Session::OnHello(const pb::Hello& hello) {
  const std::optional<FeedOutcome> refused = RefuseHello(hello);
  if (refused) return *refused;
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
  context_.counters.messages_resent.Add(hello.resent_messages());
  if (!hello.publisher().empty()) {
    name_.Take(hello.publisher(), [fence = fence_, name = hello.publisher()] {
      if (fence) fence(FencedText(name));
    });
    if (name_.is_lost()) return RefuseFenced();
    context_.router.SetNamed(name_.named());
  }
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
  name_.AddMarks(context_.table.snapshot()->logs(), welcome, pending_);
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
