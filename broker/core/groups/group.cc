#include "broker/core/groups/group.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "broker/base/log.h"
#include "broker/core/delivery/message_unit.h"
#include "broker/core/delivery/queue_stats.h"
#include "broker/core/groups/unit_run.h"
#include "proto/expiry.h"
#include "proto/frame.h"

namespace fifobus {

std::shared_ptr<Group> Group::Make(Key key, const std::optional<AckRule>& rule,
                                   uint32_t egress_id, const Context& context) {
  auto group = std::shared_ptr<Group>(
      new Group(std::move(key), rule, context, nullptr, {}));
  group->MakeEgress(egress_id);
  return group;
}

std::shared_ptr<Group> Group::MakeLogged(Key key, const AckRule& rule,
                                         uint32_t egress_id,
                                         const Context& context,
                                         std::shared_ptr<GroupSource> source,
                                         DeliveryCounts earlier) {
  auto group = std::shared_ptr<Group>(new Group(
      std::move(key), rule, context, std::move(source), std::move(earlier)));
  group->MakeEgress(egress_id);
  group->egress_->SetRoomListener(group->source_);
  return group;
}

void Group::MakeEgress(uint32_t id) {
  egress_ =
      std::make_shared<Egress>(id, EgressFormat::kFrames, context_.options,
                               shared_from_this(), context_.counters);
}

Group::Group(Key key, const std::optional<AckRule>& rule,
             const Context& context, std::shared_ptr<GroupSource> source,
             DeliveryCounts earlier)
    : key_(std::move(key)),
      rule_(rule),
      context_(context),
      source_(std::move(source)),
      earlier_(std::move(earlier)) {
  if (rule) ledger_.emplace(*rule, context.options.group_unacked_bytes_max);
}

void Group::Join(const std::shared_ptr<Egress>& member) {
  MutexLock lock(mutex_);
  members_.Join(member);
}

void Group::OnJoined() {
  Deal();
  egress_->ReaderCame();
}

// A member may have joined meanwhile, and its OnJoined may have come first.
void Group::OnDeserted() {
  egress_->ReaderLeft();
  if (member_count() > 0) egress_->ReaderCame();
}

void Group::Leave(uint32_t member) {
  MutexLock lock(mutex_);
  members_.Leave(member);
}

void Group::LeaveDead(uint32_t member) {
  {
    MutexLock lock(mutex_);
    members_.Leave(member);
    if (ledger_) {
      ledger_->ReclaimFrom(member);
      BuryDead();
    }
  }
  Deal();
}

void Group::LoseUnread(uint32_t member, uint64_t read_position,
                       uint64_t taken_along) {
  uint64_t unread = 0;
  {
    MutexLock lock(mutex_);
    const auto dealt = dealt_.find(member);
    if (ledger_ || stopped_) return;
    if (dealt != dealt_.end()) {
      unread = dealt->second.CountBehind(read_position);
      dealt_.erase(dealt);
    }
    taken_along_ += unread + taken_along;
  }
  context_.counters.messages_taken_along.Add(unread);
  if (unread + taken_along == 0) return;
  LogInfo("member of a group left with messages",
          {{"group", key_.name},
           {"pattern", key_.pattern},
           {"messages", unread + taken_along}});
}

bool Group::HoldsUnread(uint32_t member, uint64_t read_position) const {
  MutexLock lock(mutex_);
  const auto dealt = dealt_.find(member);
  return dealt != dealt_.end() && dealt->second.CountBehind(read_position) > 0;
}

void Group::OnBrokerStops() {
  MutexLock lock(mutex_);
  stopped_ = true;
  dealt_.clear();
}

size_t Group::member_count() const {
  MutexLock lock(mutex_);
  return members_.size();
}

size_t Group::UnackedOf(uint32_t member) const {
  MutexLock lock(mutex_);
  return ledger_ ? ledger_->UnackedOf(member) : 0;
}

size_t Group::unacked() const {
  MutexLock lock(mutex_);
  return ledger_ ? ledger_->unacked() : 0;
}

void Group::OnRoom(uint32_t member) {
  {
    MutexLock lock(mutex_);
    members_.SetRoom(member);
  }
  Deal();
}

void Group::Deal() {
  std::vector<KeptMessage> stale;
  std::vector<uint64_t> settled;
  {
    MutexLock lock(mutex_);
    if (ledger_ && (ledger_->has_waiting() || ledger_->has_expired())) {
      stale = ledger_->PopExpired(UnixNanosNow());
      DealWaiting();
    }
    if (source_) settled = ledger_->PopDone();
  }
  for (const KeptMessage& message : stale) {
    if (source_) settled.push_back(message.offset());
    context_.counters.messages_expired.Add();
    (void)egress_->OfferLoss(LossReason::kExpired,
                             FirstUnit(message.frame()).topic());
  }
  if (!settled.empty()) source_->Settle(settled);
  egress_->OnWritable();
}

DeliveryCounts Group::CountsByOffset() const {
  MutexLock lock(mutex_);
  DeliveryCounts counts = ledger_->CountsByOffset();
  counts.insert(earlier_.begin(), earlier_.end());
  return counts;
}

uint64_t Group::Abandon() {
  const uint64_t queued = egress_->Abandon();
  MutexLock lock(mutex_);
  return queued + (ledger_ ? ledger_->Abandon() : 0);
}

void Group::AppendStats(pb::StatsReply& reply) const {
  const EgressState egress = egress_->state();
  pb::StatsReply::Group& group = *reply.add_groups();
  group.set_name(key_.name);
  group.set_pattern(key_.pattern);
  *group.mutable_queue() = QueueStats(egress);
  group.set_acked(rule_.has_value());
  MutexLock lock(mutex_);
  group.set_members(static_cast<uint32_t>(members_.size()));
  group.set_unacked(ledger_ ? ledger_->unacked() : 0);
  group.set_redelivered(redelivered_);
  group.set_dead_lettered(dead_lettered_);
  group.set_taken_along(taken_along_);
}

void Group::AddToStats(pb::StatsReply::Reader& reader) const {
  MutexLock lock(mutex_);
  reader.set_group(key_.name);
  reader.set_unacked(ledger_->unacked());
  reader.set_redelivered(redelivered_);
  reader.set_dead_lettered(dead_lettered_);
}

SinkResult Group::Write(absl::Span<const Slice> slices, const Staged*) {
  MutexLock lock(mutex_);
  UnitCursor cursor(slices);
  if (!ledger_) {
    DealRuns(cursor);
  } else {
    DealWaiting();
    if (!ledger_->has_waiting()) DealAcked(cursor);
  }
  SinkResult result;
  result.bytes_taken = cursor.bytes_passed();
  if (!cursor.done()) {
    result.outcome =
        members_.empty() ? SinkOutcome::kNoReader : SinkOutcome::kWouldBlock;
  }
  return result;
}

void Group::StartStallClock() {
  context_.host.RunAfter(context_.options.stall_timeout,
                         [weak = weak_from_this()] {
                           const std::shared_ptr<Group> group = weak.lock();
                           if (group) group->egress_->OnStallTimeout();
                         });
}

void Group::AcknowledgeOne(uint32_t member, uint64_t id,
                           pb::Ack::Verdict verdict) {
  switch (verdict) {
    case pb::Ack::VERDICT_RETRY:
      return ledger_->Retry(member, id);
    case pb::Ack::VERDICT_EXTEND:
      return ledger_->Extend(member, id, context_.host.Now());
    default:
      return ledger_->Done(member, id);
  }
}

void Group::DealRuns(UnitCursor& cursor) {
  size_t share = ShareOf(cursor);
  while (!cursor.done()) {
    Member* const member = members_.Next([](const Member&) { return true; });
    if (member == nullptr) return;
    OfferRun(*member, cursor, share);
    if (!member->has_room) share = ShareOf(cursor);
  }
}

void Group::DealAcked(UnitCursor& cursor) {
  const size_t share = ShareOf(cursor);
  while (!cursor.done()) {
    const bool is_message = cursor.unit().is_message();
    Member* const member = members_.Next([&](const Member& candidate) {
      mutex_.AssertHeld();
      return !is_message || MayHold(candidate);
    });
    if (member == nullptr) return;
    if (is_message) {
      OfferKept(*member, cursor, share);
    } else {
      OfferRun(*member, cursor, 1);
    }
  }
}

size_t Group::ShareOf(const UnitCursor& cursor) const {
  const size_t members = std::max<size_t>(1, members_.CountWithRoom());
  const size_t most = members * context_.options.group_run_messages_max;
  size_t ahead = 0;
  for (UnitCursor at = cursor; !at.done() && ahead < most; at.Advance()) {
    ++ahead;
  }
  return (ahead + members - 1) / members;
}

void Group::OfferRun(Member& member, UnitCursor& cursor, size_t share) {
  UnitRun run;
  UnitCursor end = cursor;
  for (size_t messages = 0; messages < share && !end.done(); ++messages) {
    const MessageUnit& unit = end.unit();
    if (messages > 0 && run.bytes() + unit.bytes.size() >
                            context_.options.group_run_bytes_max) {
      break;
    }
    run.Add(unit.bytes, unit.is_message());
    end.Advance();
  }
  const Egress::RoomResult taken = member.egress->OfferIfRoom(run.slices());
  run.NoteTaken(taken, dealt_[member.egress->id()]);
  if (taken.bytes_taken == run.bytes()) {
    cursor = end;
    return;
  }
  member.has_room = false;
  const size_t passed = cursor.bytes_passed() + taken.bytes_taken;
  while (cursor.bytes_passed() < passed) cursor.Advance();
}

void Group::OfferKept(Member& member, UnitCursor& cursor, size_t share) {
  struct Dealt {
    uint64_t ack_id;  // 0: it has expired
    KeptMessage message;
    size_t end_bytes;  // of the run
  };
  const uint32_t member_id = member.egress->id();
  size_t left = std::min(share, ledger_->CapacityOf(member_id));
  UnitRun run;
  std::vector<Dealt> dealt;
  UnitCursor end = cursor;
  while (left > 0 && !end.done() && end.unit().is_message() &&
         run.bytes() < context_.options.group_run_bytes_max) {
    dealt.push_back({0, Keep(end.unit()), run.bytes()});
    Dealt& one = dealt.back();
    if (!HasExpiredInLog(one.message)) {
      one.ack_id = ++context_.ack_ids;
      run.Add(one.message.UnitFor(one.ack_id), /*is_message=*/true);
      one.end_bytes = run.bytes();
      --left;
    }
    end.Advance();
  }
  const size_t taken = member.egress->OfferIfRoom(run.slices()).bytes_taken;
  member.has_room = taken == run.bytes();
  const absl::Duration now = context_.host.Now();
  for (Dealt& one : dealt) {
    if (one.end_bytes > taken) break;
    if (one.ack_id == 0) {
      Expire(std::move(one.message));
    } else {
      Deliver(one.ack_id, member_id, std::move(one.message), now);
    }
    cursor.Advance();
  }
  StartAckClock();
}

// A log keeps messages for longer than they may be good for. In a queue they
// expire by themselves.
bool Group::HasExpiredInLog(const KeptMessage& message) const {
  return source_ && IsExpired(message.expiry_unix_nanos());
}

void Group::Expire(KeptMessage message) {
  ledger_->AddExpired(std::move(message));
  context_.host.RunAfter(absl::ZeroDuration(), [weak = weak_from_this()] {
    const std::shared_ptr<Group> group = weak.lock();
    if (group) group->Deal();
  });
}

void Group::Deliver(uint64_t ack_id, uint32_t member, KeptMessage message,
                    absl::Duration now) {
  if (message.deliveries() > 0) CountRedelivery();
  earlier_.erase(earlier_.begin(), earlier_.upper_bound(message.offset()));
  ledger_->Add(ack_id, member, std::move(message), now);
}

void Group::CountRedelivery() {
  ++redelivered_;
  context_.counters.messages_redelivered.Add();
}

KeptMessage Group::Keep(const MessageUnit& unit) const {
  const size_t ahead = unit.bytes.size() - unit.frame.size();
  if (ahead == 0) return KeptMessage(unit.frame);
  const DeliveryView delivery =
      ReadDelivery(ReadWholeFrame(unit.bytes.substr(0, ahead)).member);
  KeptMessage message(unit.frame,
                      {delivery.offset, delivery.stored_time_unix_nanos});
  const auto earlier = earlier_.find(delivery.offset);
  if (earlier != earlier_.end()) message.AddDeliveries(earlier->second);
  return message;
}

void Group::DealWaiting() {
  while (ledger_->has_waiting()) {
    KeptMessage& message = ledger_->FirstWaiting();
    Member* const member = NextForWaiting(message);
    if (member == nullptr) return;
    const uint64_t ack_id = ++context_.ack_ids;
    const std::string_view unit = message.UnitFor(ack_id);
    const Slice slice{unit.data(), unit.size()};
    member->has_room =
        member->egress->OfferIfRoom({&slice, 1}).bytes_taken == unit.size();
    if (!member->has_room) continue;
    CountRedelivery();
    ledger_->Add(ack_id, member->egress->id(), ledger_->PopWaiting(),
                 context_.host.Now());
    StartAckClock();
  }
}

Group::Member* Group::NextForWaiting(const KeptMessage& message) {
  Member* const other = members_.Next([&](const Member& candidate) {
    mutex_.AssertHeld();
    return candidate.egress->id() != message.member() && MayHold(candidate);
  });
  if (other != nullptr) return other;
  return members_.Next([&](const Member& candidate) {
    mutex_.AssertHeld();
    return MayHold(candidate);
  });
}

bool Group::MayHold(const Member& member) const {
  return ledger_->CapacityOf(member.egress->id()) > 0;
}

// Not stopped when all is answered: it finds nothing then, and ends.
void Group::StartAckClock() {
  if (clock_runs_ || ledger_->unacked() == 0) return;
  clock_runs_ = true;
  const absl::Duration delay = ledger_->NextDeadline() - context_.host.Now();
  context_.host.RunAfter(std::max(delay, absl::ZeroDuration()),
                         [weak = weak_from_this()] {
                           const std::shared_ptr<Group> group = weak.lock();
                           if (group) group->OnAckTimeout();
                         });
}

void Group::OnAckTimeout() {
  {
    MutexLock lock(mutex_);
    clock_runs_ = false;
    ledger_->ReclaimOverdue(context_.host.Now());
    BuryDead();
    StartAckClock();
  }
  Deal();
}

void Group::BuryDead() {
  for (KeptMessage& message : ledger_->PopDead()) {
    if (dead_lettered_++ == 0) {
      LogWarning("group gave up a message, the first of perhaps many",
                 {{"group", key_.name},
                  {"pattern", key_.pattern},
                  {"deliveries", message.deliveries()}});
    }
    context_.counters.messages_dead_lettered.Add();
    std::function<void()> settle;
    if (source_) {
      settle = [source = source_, offset = message.offset()] {
        source->Settle({&offset, 1});
      };
    }
    context_.host.Publish({key_.name, std::move(message), std::move(settle)});
  }
}

}  // namespace fifobus
