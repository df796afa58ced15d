#include "broker/core/sessions/session.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "broker/core/delivery/queue_stats.h"
#include "broker/core/groups/group_request.h"
#include "broker/core/routing/subscribe_with_retained.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"
#include "proto/overflow.h"
#include "proto/topic.h"
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

FrameFault FaultOf(Router::Verdict verdict) {
  switch (verdict) {
    case Router::Verdict::kRouted:
      return FrameFault::kNone;
    case Router::Verdict::kBadTopic:
      return FrameFault::kBadTopic;
    case Router::Verdict::kReservedTopic:
      return FrameFault::kReservedTopic;
    case Router::Verdict::kDenied:  // is answered in another way
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

std::string DeniedText(uint32_t uid, std::string_view what,
                       std::string_view name) {
  return fmt::format(
      "user {} may not {} \"{}\" on this bus; see its configuration", uid, what,
      name);
}

// The bound in force for a client that asks for `wanted` (0: for none) where
// the broker allows `most` (0: any).
size_t Bounded(uint64_t wanted, size_t most) {
  if (wanted == 0) return most;
  return most == 0 ? wanted : std::min<size_t>(wanted, most);
}

}  // namespace

Session::Session(uint64_t number, const SessionContext& context,
                 std::shared_ptr<Egress> egress)
    : number_(number),
      context_(context),
      egress_(std::move(egress)),
      memberships_(std::make_shared<Memberships>(context.groups, egress_)) {}

void Session::SetValve(std::shared_ptr<Valve> valve) {
  valve_ = std::move(valve);
  egress_->SetOwnValve(valve_);
}

FeedResult Session::Take(const ChunkRef& chunk, std::string_view bytes) {
  FeedResult result;
  context_.router.Begin(chunk, valve_, {client_uid_, number_});
  repeated_.Forget();
  while (result.outcome == FeedOutcome::kContinue) {
    const std::string_view rest = bytes.substr(result.bytes_taken);
    if (TakeRepeated(rest)) {
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
      result.outcome = TakeFrame(rest.substr(0, extent.frame_bytes));
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
  state_ = State::kOver;
  return FeedOutcome::kClose;
}

void Session::OnHalfReceivedLimit() {
  (void)Refuse(pb::Error::CODE_LIMIT,
               "the broker holds too many half-received frames");
}

void Session::EndSubscriptions() {
  absl::flat_hash_set<std::string> patterns;
  {
    MutexLock lock(mutex_);
    patterns.swap(patterns_);
  }
  for (const std::string& pattern : patterns) {
    context_.table.Remove(pattern, egress_->id());
  }
  egress_->Close();
}

void Session::EndMemberships() { memberships_->End(); }

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
  if (state_ != State::kOpen) return FeedOutcome::kContinue;
  std::vector<std::string> patterns = memberships_->Patterns();
  {
    MutexLock lock(mutex_);
    patterns.insert(patterns.end(), patterns_.begin(), patterns_.end());
  }
  for (const std::string& pattern : patterns) {
    if (!MaySubscribe(pattern)) return Deny("subscribe to", pattern);
  }
  return FeedOutcome::kContinue;
}

void Session::SayGoodbye(std::string_view reason) {
  if (state_ == State::kOver) return;
  pb::Frame frame;
  frame.mutable_goodbye()->set_reason(reason.data(), reason.size());
  (void)Answer(frame);
}

void Session::AppendStats(pb::StatsReply& reply) const {
  const Egress::State egress = egress_->state();
  pb::StatsReply::Session& session = *reply.add_sessions();
  session.set_number(number_);
  session.set_published(published_.value());
  session.set_published_bytes(published_bytes_.value());
  session.set_uid(client_uid_);
  session.set_connected_unix_nanos(connected_unix_nanos_);
  *session.mutable_queue() = QueueStats(egress);
  MutexLock lock(mutex_);
  session.set_client_name(client_name_);
  session.set_pid(client_pid_);
  for (const std::string& pattern : patterns_) session.add_patterns(pattern);
}

ClientIdentity Session::Identity() const {
  MutexLock lock(mutex_);
  return {number_, client_name_, client_pid_, client_uid_};
}

std::string Session::ClientText() const {
  MutexLock lock(mutex_);
  return fmt::format("{}[{}]", client_name_, client_pid_);
}

bool Session::TakeRepeated(std::string_view bytes) {
  if (!repeated_.IsFrontOf(bytes) ||
      !context_.router.AddRepeated({bytes.data(), repeated_.frame_bytes()},
                                   repeated_.payload_bytes())) {
    return false;
  }
  ++taken_messages_;
  taken_bytes_ += repeated_.frame_bytes();
  return true;
}

FeedOutcome Session::TakeFrame(std::string_view frame) {
  const FrameView view = ReadWholeFrame(frame);
  if (view.fault != FrameFault::kNone) return RefuseFrame(view.fault);
  if (view.kind == FrameKind::kMessage) return TakeMessage(frame, view.member);
  // What was published before this frame goes out before its answer.
  if (FlushMessages() == FeedOutcome::kClose) return FeedOutcome::kClose;
  const FeedOutcome outcome = TakeControl(view);
  context_.router.Refresh();
  return outcome;
}

FeedOutcome Session::TakeMessage(std::string_view frame,
                                 std::string_view member) {
  if (state_ != State::kOpen) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                  "a session begins with Hello");
  }
  const MessageView message = ReadMessage(member);
  FrameFault fault = message.fault;
  if (fault == FrameFault::kNone) {
    const Router::Verdict verdict = context_.router.Add(frame, message);
    if (verdict == Router::Verdict::kDenied) {
      return Deny("publish on", message.topic);
    }
    fault = FaultOf(verdict);
  }
  if (fault != FrameFault::kNone) return RefuseFrame(fault);
  ++taken_messages_;
  taken_bytes_ += frame.size();
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
  if (taken_messages_ > 0) {
    // First: who has a message finds it counted.
    published_.Add(std::exchange(taken_messages_, 0));
    published_bytes_.Add(std::exchange(taken_bytes_, 0));
  }
  context_.router.Flush();
  if (confirms_.empty()) return FeedOutcome::kContinue;
  return AnswerBytes(std::exchange(confirms_, {}));
}

template <typename Control>
FeedOutcome Session::TakeParsed(const FrameView& view,
                                FeedOutcome (Session::*take)(const Control&)) {
  Control control;
  const int size = static_cast<int>(view.member.size());
  if (!control.ParseFromArray(view.member.data(), size)) {
    return RefuseFrame(FrameFault::kMalformed);
  }
  return (this->*take)(control);
}

FeedOutcome Session::TakeControl(const FrameView& view) {
  if (view.kind == FrameKind::kGoodbye) {
    left_ = true;
    will_.Clear();
    return FeedOutcome::kContinue;
  }
  if (view.kind == FrameKind::kHello) {
    return TakeParsed(view, &Session::TakeHello);
  }
  if (state_ != State::kOpen) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                  "a session begins with Hello");
  }
  switch (view.kind) {
    case FrameKind::kSubscribe:
      return TakeParsed(view, &Session::TakeSubscribe);
    case FrameKind::kUnsubscribe:
      return TakeParsed(view, &Session::TakeUnsubscribe);
    case FrameKind::kAck:
      return TakeParsed(view, &Session::TakeAck);
    case FrameKind::kPing:
      return TakeParsed(view, &Session::TakePing);
    case FrameKind::kStats:
      return TakeParsed(view, &Session::TakeStats);
    default:
      return Refuse(pb::Error::CODE_UNEXPECTED_FRAME,
                    fmt::format("frame {} is not for the broker",
                                static_cast<uint32_t>(view.kind)));
  }
}

FeedOutcome Session::TakeHello(const pb::Hello& hello) {
  if (state_ != State::kAwaitingHello) {
    return Refuse(pb::Error::CODE_UNEXPECTED_FRAME, "a second Hello");
  }
  if (hello.protocol_version() != kProtocolVersion) {
    return Refuse(pb::Error::CODE_UNSUPPORTED_VERSION,
                  fmt::format("this broker speaks protocol version {}",
                              kProtocolVersion));
  }
  const OverflowPolicy policy = PolicyOf(hello);
  const auto& allowed = context_.options.overflow_allowed;
  if (std::find(allowed.begin(), allowed.end(), policy.overflow) ==
      allowed.end()) {
    return Refuse(pb::Error::CODE_BAD_OVERFLOW,
                  "this bus does not allow the overflow policy asked for; see "
                  "serve --overflow-allowed");
  }
  egress_->SetPolicy(policy);
  if (hello.overflow() == pb::OVERFLOW_UNSPECIFIED &&
      hello.queue_bytes_max() == 0 && hello.queue_messages_max() == 0) {
    open_policy_ = policy;
  }
  if (hello.has_will()) {
    const FrameFault fault =
        will_.Set(hello.will(), context_.options.frame_bytes_max);
    if (fault != FrameFault::kNone) {
      return Refuse(CodeOf(fault),
                    fmt::format("the will: {}", FrameFaultText(fault)));
    }
    if (!will_.IsAllowed(context_.table.snapshot()->rules(), client_uid_)) {
      return Deny("publish a will", hello.will().topic());
    }
  }
  {
    MutexLock lock(mutex_);
    client_name_ = Printable(hello.client_name());
    client_pid_ = hello.pid();
  }
  state_ = State::kOpen;
  greeted_ = true;
  return Greet(policy);
}

OverflowPolicy Session::PolicyOf(const pb::Hello& hello) const {
  const BrokerOptions& options = context_.options;
  OverflowPolicy policy;
  policy.overflow = OverflowOf(hello.overflow());
  policy.limits.bytes_max =
      Bounded(hello.queue_bytes_max(), options.egress_queue_bytes_max);
  policy.limits.messages_max =
      Bounded(hello.queue_messages_max(), options.egress_queue_messages_max);
  return policy;
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
  const FeedOutcome outcome = Answer(frame);
  PublishConnected(Identity(), context_.router);
  return outcome;
}

FeedOutcome Session::TakeSubscribe(const pb::Subscribe& subscribe) {
  const std::string& pattern = subscribe.pattern();
  const TopicFault fault = CheckPattern(pattern);
  if (fault != TopicFault::kNone) {
    return AnswerError(pb::Error::CODE_BAD_PATTERN,
                       fmt::format("the pattern {}", TopicFaultText(fault)),
                       subscribe.request_id());
  }
  if (!MaySubscribe(pattern)) {
    return AnswerError(pb::Error::CODE_DENIED,
                       DeniedText(client_uid_, "subscribe to", pattern),
                       subscribe.request_id());
  }
  if (subscribe.group().empty() && subscribe.has_acks()) {
    return AnswerError(pb::Error::CODE_BAD_GROUP,
                       "only the members of a group acknowledge: name one",
                       subscribe.request_id());
  }
  bool room = false;
  {
    MutexLock lock(mutex_);
    room = patterns_.size() + memberships_->size() <
           context_.options.session_patterns_max;
  }
  if (!room) {
    return AnswerError(pb::Error::CODE_LIMIT,
                       fmt::format("a session may have {} patterns",
                                   context_.options.session_patterns_max),
                       subscribe.request_id());
  }
  if (!subscribe.group().empty()) return TakeJoin(subscribe);
  TakePolicyOf(pattern);
  if (subscribe.skip_retained()) {
    context_.table.Add(pattern, egress_);
  } else {
    SubscribeWithRetained(context_.retained, context_.table, pattern, egress_);
  }
  {
    // Not before: who sees it in Stats may publish and expect it to arrive.
    MutexLock lock(mutex_);
    patterns_.insert(pattern);
  }
  // Only now: what is published after this answer was read finds the entry.
  const FeedOutcome outcome = AnswerSubscribed(subscribe.request_id());
  context_.on_subscribed();
  return outcome;
}

bool Session::MaySubscribe(std::string_view pattern) const {
  return context_.table.snapshot()->rules().MaySubscribe(client_uid_, pattern);
}

void Session::TakePolicyOf(std::string_view pattern) {
  if (!open_policy_) return;
  const OverflowPolicy usual = *std::exchange(open_policy_, std::nullopt);
  egress_->SetPolicy(
      context_.table.snapshot()->rules().PolicyOf(pattern, usual));
}

FeedOutcome Session::TakeJoin(const pb::Subscribe& subscribe) {
  const GroupRequest request = ReadGroupRequest(subscribe, context_.options);
  std::string fault = request.fault;
  std::shared_ptr<Group> group;
  if (fault.empty()) {
    group = memberships_->Join({subscribe.pattern(), subscribe.group()},
                               request.rule);
    if (group == nullptr) {
      fault = "the group exists and acknowledges in another way";
    }
  }
  if (group == nullptr) {
    return AnswerError(pb::Error::CODE_BAD_GROUP, std::move(fault),
                       subscribe.request_id());
  }
  context_.on_subscribed();
  const FeedOutcome outcome = AnswerSubscribed(subscribe.request_id());
  group->OnJoined();
  return outcome;
}

FeedOutcome Session::TakeUnsubscribe(const pb::Unsubscribe& unsubscribe) {
  bool known = false;
  if (unsubscribe.group().empty()) {
    MutexLock lock(mutex_);
    known = patterns_.erase(unsubscribe.pattern()) > 0;
  } else {
    memberships_->Leave({unsubscribe.pattern(), unsubscribe.group()});
  }
  if (known) context_.table.Remove(unsubscribe.pattern(), egress_->id());
  pb::Frame frame;
  frame.mutable_unsubscribed()->set_request_id(unsubscribe.request_id());
  return Answer(frame);
}

FeedOutcome Session::TakeAck(const pb::Ack& ack) {
  memberships_->Acknowledge(ack);
  return FeedOutcome::kContinue;
}

FeedOutcome Session::TakePing(const pb::Ping& ping) {
  pb::Frame frame;
  frame.mutable_pong()->set_token(ping.token());
  frame.mutable_pong()->set_level(pb::Confirm::LEVEL_ACCEPTED);
  return Answer(frame);
}

FeedOutcome Session::TakeStats(const pb::Stats& stats) {
  if (!stats.topic().empty()) {
    const TopicFault fault = CheckTopic(stats.topic());
    if (fault != TopicFault::kNone) {
      return AnswerError(pb::Error::CODE_BAD_TOPIC,
                         fmt::format("the topic {}", TopicFaultText(fault)),
                         stats.request_id());
    }
  }
  pb::Frame frame;
  *frame.mutable_stats_reply() =
      stats.topic().empty() ? context_.stats.CollectStats()
                            : context_.stats.CollectTopic(stats.topic());
  frame.mutable_stats_reply()->set_request_id(stats.request_id());
  if (frame.ByteSizeLong() > context_.options.frame_bytes_max) {
    return AnswerError(pb::Error::CODE_LIMIT,
                       "the listing is larger than a frame may be",
                       stats.request_id());
  }
  return Answer(frame);
}

FeedOutcome Session::Answer(const pb::Frame& frame) {
  std::string bytes;
  AppendFrame(frame, bytes);
  return AnswerBytes(bytes);
}

FeedOutcome Session::AnswerBytes(std::string_view frames) {
  if (egress_->OfferControl(frames) != Egress::ControlOutcome::kFull) {
    return FeedOutcome::kContinue;  // who is gone needs no answer
  }
  end_reason_ = "the client does not read its answers";
  state_ = State::kOver;
  return FeedOutcome::kClose;
}

FeedOutcome Session::AnswerSubscribed(uint64_t request_id) {
  pb::Frame frame;
  frame.mutable_subscribed()->set_request_id(request_id);
  return Answer(frame);
}

FeedOutcome Session::AnswerError(pb::Error::Code code, std::string text,
                                 uint64_t request_id) {
  pb::Frame frame;
  frame.mutable_error()->set_code(code);
  frame.mutable_error()->set_text(std::move(text));
  frame.mutable_error()->set_request_id(request_id);
  return Answer(frame);
}

FeedOutcome Session::Refuse(pb::Error::Code code, std::string text) {
  context_.counters.frames_refused.Add();
  // What came before the bad frame was good.
  (void)FlushMessages();
  end_reason_ = text;
  (void)AnswerError(code, std::move(text), /*request_id=*/0);
  state_ = State::kOver;
  return FeedOutcome::kClose;
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
