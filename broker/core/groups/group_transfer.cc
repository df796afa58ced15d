#include "broker/core/groups/group_transfer.h"

#include <map>
#include <optional>
#include <utility>

#include "broker/core/delivery/egress_transfer.h"

namespace fifobus {

pb::state::GroupKey GroupTransfer::ExportKey(const Group::Key& key) {
  pb::state::GroupKey state;
  state.set_pattern(key.pattern);
  state.set_name(key.name);
  state.set_log(key.log);
  state.set_durable(key.durable);
  return state;
}

Group::Key GroupTransfer::RestoreKey(const pb::state::GroupKey& state) {
  return {state.pattern(), state.name(), state.log(), state.durable()};
}

pb::state::Group GroupTransfer::Export(const Group& group, StateChunks& chunks,
                                       const StateIngresses& ingresses) {
  pb::state::Group state;
  *state.mutable_key() = ExportKey(group.key_);
  if (group.rule_) *state.mutable_rule() = group.rule_->Export();
  *state.mutable_egress() =
      EgressTransfer::Export(*group.egress_, chunks, ingresses);
  if (group.source_) *state.mutable_source() = group.source_->Export();
  const MutexLock lock(group.mutex_);
  *state.mutable_members() = group.members_.Export();
  if (group.ledger_) *state.mutable_ledger() = group.ledger_->Export();
  *state.mutable_earlier() = ExportCounts(group.earlier_);
  state.set_redelivered(group.redelivered_);
  state.set_dead_lettered(group.dead_lettered_);
  // In an order, so that equal groups have equal states.
  std::map<uint32_t, const DealtRuns*> dealt;
  for (const auto& [member, runs] : group.dealt_) dealt[member] = &runs;
  for (const auto& [member, runs] : dealt) {
    pb::state::Group::Dealt& one = *state.add_dealt();
    one.set_member(member);
    *one.mutable_runs() = runs->Export();
  }
  state.set_taken_along(group.taken_along_);
  return state;
}

std::shared_ptr<Group> GroupTransfer::Restore(
    const pb::state::Group& state, const Group::Context& context,
    std::shared_ptr<GroupSource> source, const StateChunks& chunks,
    StateIngresses& ingresses) {
  std::optional<AckRule> rule;
  if (state.has_rule()) rule = AckRule::Restore(state.rule());
  auto group = std::shared_ptr<Group>(
      new Group(RestoreKey(state.key()), rule, context, std::move(source),
                RestoreCounts(state.earlier())));
  group->MakeEgress(state.egress().id());
  EgressTransfer::Restore(state.egress(), chunks, ingresses, group->egress_);
  if (group->source_) group->egress_->SetRoomListener(group->source_);
  const MutexLock lock(group->mutex_);
  group->members_ = GroupMembers::Restore(state.members());
  if (group->ledger_) group->ledger_->Restore(state.ledger());
  group->redelivered_ = state.redelivered();
  group->dead_lettered_ = state.dead_lettered();
  for (const pb::state::Group::Dealt& dealt : state.dealt()) {
    group->dealt_[dealt.member()] = DealtRuns::Restore(dealt.runs());
  }
  group->taken_along_ = state.taken_along();
  return group;
}

std::vector<uint32_t> GroupTransfer::Absent(const Group& group) {
  const MutexLock lock(group.mutex_);
  return group.members_.Absent();
}

void GroupTransfer::Resume(Group& group) {
  {
    const MutexLock lock(group.mutex_);
    if (group.ledger_) {
      group.BuryDead();
      group.StartAckClock();
    }
  }
  group.Deal();
  if (group.source_) group.source_->Begin(group.egress_);
}

DealtRuns GroupTransfer::DealtTo(const Group& group, uint32_t member) {
  const MutexLock lock(group.mutex_);
  const auto dealt = group.dealt_.find(member);
  return dealt == group.dealt_.end() ? DealtRuns() : dealt->second;
}

std::shared_ptr<Group> GroupTransfer::RestoreEnded(
    const Group::Key& key, const Group::Context& context, uint32_t member,
    DealtRuns dealt) {
  auto group = Group::Make(key, std::nullopt, /*egress_id=*/0, context);
  group->egress_->Close();
  const MutexLock lock(group->mutex_);
  group->dealt_[member] = std::move(dealt);
  return group;
}

}  // namespace fifobus
