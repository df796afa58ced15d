#include "broker/core/logs/durable_reader.h"

#include <algorithm>
#include <utility>

namespace fifobus {

DurableReader::DurableReader(ReaderRecord record,
                             std::function<void()> on_change)
    : name_(std::move(record.name)),
      pattern_(std::move(record.pattern)),
      group_(std::move(record.group)),
      on_change_(std::move(on_change)),
      position_(record.position),
      done_above_(std::move(record.done_above)) {}

void DurableReader::SettleRange(uint64_t first, uint64_t last) {
  {
    const MutexLock lock(mutex_);
    if (last < position_) return;
    done_above_.Add(std::max(first, position_), last);
    if (const auto done = done_above_.TakeFrom(position_))
      position_ = *done + 1;
  }
  on_change_();
}

void DurableReader::SettleUpTo(uint64_t last) {
  {
    const MutexLock lock(mutex_);
    if (last < position_) return;
    position_ = last + 1;
    done_above_.RemoveUpTo(last);
    if (const auto done = done_above_.TakeFrom(position_))
      position_ = *done + 1;
  }
  on_change_();
}

uint64_t DurableReader::position() const {
  const MutexLock lock(mutex_);
  return position_;
}

OffsetSet DurableReader::done_above() const {
  const MutexLock lock(mutex_);
  return done_above_;
}

ReaderRecord DurableReader::record() const {
  const MutexLock lock(mutex_);
  return {name_, pattern_, group_, position_, done_above_};
}

bool DurableReader::stored() const {
  const MutexLock lock(mutex_);
  return stored_;
}

void DurableReader::NoteStored() {
  const MutexLock lock(mutex_);
  stored_ = true;
}

pb::state::DurableReader DurableReader::Export() const {
  pb::state::DurableReader state;
  state.set_name(name_);
  state.set_pattern(pattern_);
  state.set_group(group_);
  const MutexLock lock(mutex_);
  state.set_position(position_);
  *state.mutable_done_above() = done_above_.Export();
  state.set_stored(stored_);
  return state;
}

ReaderRecord DurableReader::RestoreRecord(
    const pb::state::DurableReader& state) {
  return {state.name(), state.pattern(), state.group(), state.position(),
          OffsetSet::Restore(state.done_above())};
}

uint64_t DurableReader::Take(User user) {
  std::vector<Use> fenced;
  uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    fenced.swap(uses_);
    number = ++last_use_;
    uses_.push_back({number, std::move(user)});
  }
  for (const Use& use : fenced) {
    if (use.user.on_fenced) use.user.on_fenced();
  }
  return number;
}

uint64_t DurableReader::Join(User user) {
  const MutexLock lock(mutex_);
  uses_.push_back({++last_use_, std::move(user)});
  return last_use_;
}

void DurableReader::Leave(uint64_t use) {
  // What goes with its function may take locks of its own.
  std::vector<Use> left;
  const MutexLock lock(mutex_);
  const auto found =
      std::find_if(uses_.begin(), uses_.end(),
                   [&](const Use& each) { return each.number == use; });
  if (found == uses_.end()) return;
  left.push_back(std::move(*found));
  uses_.erase(found);
}

bool DurableReader::in_use() const {
  const MutexLock lock(mutex_);
  return !uses_.empty();
}

std::vector<uint64_t> DurableReader::sessions() const {
  std::vector<uint64_t> sessions;
  const MutexLock lock(mutex_);
  for (const Use& use : uses_) {
    if (use.user.session != 0) sessions.push_back(use.user.session);
  }
  return sessions;
}

bool DurableReader::used_by_tap() const {
  const MutexLock lock(mutex_);
  return std::any_of(uses_.begin(), uses_.end(),
                     [](const Use& use) { return use.user.session == 0; });
}

bool DurableReader::SetPosition(uint64_t position) {
  {
    const MutexLock lock(mutex_);
    if (!uses_.empty()) return false;
    position_ = position;
    done_above_ = {};
  }
  on_change_();
  return true;
}

}  // namespace fifobus
