#include "broker/core/routing/router.h"

#include <algorithm>
#include <utility>

#include "broker/base/check.h"
#include "broker/base/log.h"
#include "proto/expiry.h"
#include "proto/topic.h"

namespace fifobus {
Router::Router(const BrokerOptions& options, const SubscriptionTable& table,
               Counters& counters, TopicStats& stats, Staging* staging,
               RetainedStore* store)
    : frame_bytes_max_(options.frame_bytes_max),
      table_(table),
      counters_(counters),
      store_(store),
      snapshot_(table.snapshot()),
      stats_(stats),
      routes_(options, stats, /*keeps_history=*/store != nullptr),
      fan_out_(options, table, staging),
      own_fan_out_(options, table, nullptr) {
  fan_out_.SetGeneration(snapshot_->generation());
  own_fan_out_.SetGeneration(snapshot_->generation());
}

void Router::Begin(const ChunkRef& chunk, const std::shared_ptr<Valve>& valve,
                   PublisherId publisher) {
  Refresh();
  publisher_ = publisher;
  fan_out_.Begin(chunk, valve);
}

void Router::CountRefusedLines(std::string_view topic, uint64_t lines) {
  stats_.Find(topic)->AddRefusedLines(lines);
}

void Router::Refresh() {
  thread_rule_.Check();
  if (snapshot_->generation() == table_.generation()) return;
  snapshot_ = table_.snapshot();
  fan_out_.SetGeneration(snapshot_->generation());
  own_fan_out_.SetGeneration(snapshot_->generation());
}

Router::Outcome Router::Add(std::string_view frame,
                            const MessageView& message) {
  if (run_route_ == nullptr || message.topic != run_topic_) {
    EndRun();
    const Outcome outcome = BeginRun(message.topic);
    if (outcome != Outcome::kRouted) return outcome;
  }
  const bool expired = IsExpired(message.expiry_unix_nanos);
  last_is_stored_ = false;
  if (message.retain || run_is_special_) [[unlikely]] {
    const Outcome outcome = AddSpecial(frame, message, expired);
    if (outcome != Outcome::kRouted) return outcome;
  }
  ++run_messages_;
  run_bytes_ += message.payload.size();
  if (expired) {
    LoseExpired(message.topic);
    return Outcome::kRouted;
  }
  last_is_stored_ = run_route_->log != nullptr;
  AddToRun(frame, message.expiry_unix_nanos);
  if (run_route_->has_taps) fan_out_.AddMessage(message, run_route_->targets);
  return Outcome::kRouted;
}

Router::Outcome Router::AddSpecial(std::string_view frame,
                                   const MessageView& message, bool expired) {
  last_retained_ = false;
  const bool retains =
      store_ != nullptr &&
      (run_route_->history > 0 || (message.retain && run_route_->may_retain));
  if (retains && !retaining_) {
    const Outcome outcome = BeginRetaining(message.topic);
    if (outcome != Outcome::kRouted) return outcome;  // by newer rules
  }
  if (publisher_.named != nullptr && run_route_->log != nullptr) {
    const Outcome outcome = AdmitNamed(message.sequence, expired);
    if (outcome != Outcome::kRouted) return outcome;
  }
  if (retains) {
    last_retained_ = retaining_->Keep(frame, message, run_route_->history) !=
                     RetainedStore::Kept::kRefused;
  }
  return Outcome::kRouted;
}

Router::Outcome Router::AdmitNamed(uint64_t sequence, bool expired) {
  ServedLog& log = *run_route_->log;
  switch (publisher_.named->Admit(log, sequence)) {
    case NamedPublisher::Admission::kNoSequence:
      return Outcome::kNoSequence;
    case NamedPublisher::Admission::kRepeat:
      counters_.messages_duplicate.Add();
      log.NoteDuplicate();
      return Outcome::kRepeated;
    case NamedPublisher::Admission::kNew:
      break;
  }
  if (!expired) {
    publisher_.named->NoteGathered(log, sequence);
    logs_.NoteSequence(run_batch_, sequence);
  }
  return Outcome::kRouted;
}

bool Router::AddRepeated(std::string_view frame, size_t payload_bytes) {
  if (run_route_ == nullptr || !run_repeats_) return false;
  ++run_messages_;
  run_bytes_ += payload_bytes;
  AddToRun(frame, /*expiry_unix_nanos=*/0);
  return true;
}

void Router::AddToRun(std::string_view frame, uint64_t expiry_unix_nanos) {
  if (run_frames_.bytes + run_frames_.size == frame.data()) {
    run_frames_.size += frame.size();
    run_frames_.expiry_unix_nanos =
        EarlierExpiry(run_frames_.expiry_unix_nanos, expiry_unix_nanos);
    ++run_frames_.messages;
  } else {
    GatherRun();
    run_frames_ = {frame.data(), frame.size(), expiry_unix_nanos};
  }
}

void Router::GatherRun() {
  if (run_frames_.size == 0) return;
  fan_out_.AddFrames(run_frames_, run_route_->targets);
  if (run_route_->log != nullptr) logs_.Add(run_batch_, run_frames_);
  run_frames_ = Slice();
}

void Router::LoseExpired(std::string_view topic) {
  GatherRun();
  fan_out_.Flush();  // what was published before it goes first
  for (const std::shared_ptr<Egress>& egress : run_route_->targets) {
    fan_out_.OfferLoss(LossReason::kExpired, topic, *egress);
  }
  counters_.messages_expired.Add(run_route_->targets.size());
}

Router::Outcome Router::BeginRun(std::string_view topic) {
  const RouteTable::Found found = routes_.Find(topic, *snapshot_);
  if (found.fault == TopicFault::kReserved) return Outcome::kReservedTopic;
  if (found.fault != TopicFault::kNone) return Outcome::kBadTopic;
  Route& route = *found.route;
  if (route.allowed != nullptr && !route.allowed->Contains(publisher_.uid)) {
    return Outcome::kDenied;
  }
  route.count->NotePublisher(publisher_.session);
  stats_.Touch(*route.count);
  run_route_ = &route;
  run_topic_ = topic;
  run_is_special_ = route.history > 0;
  if (route.log != nullptr) {
    run_batch_ = logs_.BatchOf(*route.log);
    run_is_special_ |= publisher_.named != nullptr;
  }
  run_repeats_ = !route.has_taps && !run_is_special_;
  return Outcome::kRouted;
}

Router::Outcome Router::BeginRetaining(std::string_view topic) {
  EndRun();
  retaining_.emplace(*store_);
  // From here on nobody can subscribe until the Flush. What came before in this
  // chunk goes to those that had subscribed by then.
  if (snapshot_->generation() != table_.generation()) {
    fan_out_.Flush();
    Refresh();
  }
  return BeginRun(topic);
}

Router::Receivers Router::LastReceivers(const MessageView& message) const {
  FIFOBUS_CHECK(run_route_ != nullptr);
  const bool asked = message.retain || run_route_->history > 0;
  Receivers receivers{run_route_->sessions, run_route_->taps,
                      asked && last_retained_, run_route_->log, std::nullopt};
  if (last_is_stored_) {
    const uint32_t before = logs_.batches()[run_batch_].messages;
    receivers.place = {run_batch_, before + run_frames_.messages - 1};
  }
  return receivers;
}

void Router::EndRun() {
  if (run_route_ == nullptr) return;
  GatherRun();
  const uint64_t messages = std::exchange(run_messages_, 0);
  published_ += messages;
  const uint64_t no_subscriber = run_route_->targets.empty() ? messages : 0;
  no_subscriber_ += no_subscriber;
  run_route_->count->Add(messages, std::exchange(run_bytes_, 0), no_subscriber);
  run_route_ = nullptr;
}

void Router::Flush() {
  EndRun();
  // First: a subscriber that has a message finds it counted.
  counters_.messages_published.Add(std::exchange(published_, 0));
  counters_.messages_no_subscriber.Add(std::exchange(no_subscriber_, 0));
  // What the logs store goes to them behind the offers: live subscribers do not
  // wait for the copy, and a commit takes much longer than they do.
  fan_out_.Flush();
  AppendToLogs();
  retaining_.reset();
}

void Router::AppendToLogs() {
  if (!logs_.gathering()) {
    logs_.Clear();
    return;
  }
  NamedPublisher* const named = publisher_.named;
  logs_.Append(named == nullptr ? std::string_view() : named->name(),
               fan_out_.valve());
  for (const LogGather::Batch& batch : logs_.batches()) {
    if (batch.messages == 0) continue;
    if (batch.outcome == AppendOutcome::kAppended) {
      counters_.messages_stored.Add(batch.messages);
      if (named != nullptr)
        named->NoteAppended(*batch.log, batch.last_offset());
    } else {
      counters_.messages_not_stored.Add(batch.messages);
      if (named != nullptr) named->Forget(*batch.log);
    }
  }
}

void Router::PublishOwn(const MessageFields& fields) {
  Refresh();
  const FanOut::Egresses targets = snapshot_->Match(fields.topic);
  ServedLog* const log = snapshot_->logs().LogOf(fields.topic).get();
  if (targets.empty() && log == nullptr) return;
  const size_t body_bytes = MessageBodyBytes(fields);
  if (body_bytes > frame_bytes_max_) return LogTooLarge(fields.topic);
  const size_t frame_bytes = kFramePrefixBytes + body_bytes;
  const ChunkRef chunk = Chunk::Make(frame_bytes);
  WriteMessageFrame(fields, chunk->bytes());
  const std::string_view frame(chunk->bytes(), frame_bytes);
  const Slice slice{frame.data(), frame.size(), fields.expiry_unix_nanos};
  own_fan_out_.Begin(chunk, no_valve_);
  own_fan_out_.AddFrames(slice, targets);
  own_fan_out_.AddMessage(ReadMessageFrame(frame), targets);
  own_fan_out_.Flush();
  if (log != nullptr) StoreOwn(slice, *log);
}

void Router::StoreOwn(const Slice& frame, ServedLog& log) {
  bool stored = !log.log().full();  // the broker cannot be made to wait
  if (stored) {
    own_logs_.Add(own_logs_.BatchOf(log), frame);
    own_logs_.Append("", no_valve_);
    stored = own_logs_.batches()[0].outcome == AppendOutcome::kAppended;
  }
  if (stored) {
    counters_.messages_stored.Add();
    return;
  }
  counters_.messages_not_stored.Add();
  if (const auto times = own_not_stored_.Count()) {
    LogWarning("message of the broker not stored: its log takes nothing now",
               {{"log", log.name()}, {"times", *times}});
  }
}

void Router::LogTooLarge(std::string_view topic) {
  if (const auto times = own_too_large_.Count()) {
    LogWarning("message of the broker not published: larger than a frame",
               {{"topic", topic},
                {"frame_bytes_max", frame_bytes_max_},
                {"times", *times}});
  }
}

bool Router::HasSubscriber(std::string_view topic) {
  Refresh();
  const Route* const route = routes_.Find(topic, *snapshot_).route;
  return route != nullptr && !route->targets.empty();
}

bool Router::IsKept(std::string_view topic) {
  const Route* const route = routes_.Find(topic, *snapshot_).route;
  return route != nullptr && (route->history > 0 || route->log != nullptr);
}

}  // namespace fifobus
