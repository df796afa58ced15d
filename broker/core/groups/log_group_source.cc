#include "broker/core/groups/log_group_source.h"

#include <string_view>
#include <utility>

#include "broker/core/delivery/unit_cursor.h"
#include "broker/core/readers/message_filter.h"

namespace fifobus {

std::shared_ptr<LogGroupSource> LogGroupSource::Make(
    const BrokerOptions& options, GroupHost& host,
    std::shared_ptr<ServedLog> log, std::string pattern,
    std::shared_ptr<DurableReader> reader) {
  return std::shared_ptr<LogGroupSource>(new LogGroupSource(
      options, host, std::move(log), std::move(pattern), std::move(reader)));
}

std::shared_ptr<LogGroupSource> LogGroupSource::Restore(
    const BrokerOptions& options, GroupHost& host, const LogTable& logs,
    const pb::state::GroupKey& key, const pb::state::LogGroupSource& state) {
  std::shared_ptr<ServedLog> log = logs.Find(key.log());
  if (!log) return nullptr;
  std::shared_ptr<DurableReader> reader = log->readers().Find(key.durable());
  if (!reader) return nullptr;
  auto source =
      Make(options, host, std::move(log), state.pattern(), std::move(reader));
  if (state.has_cursor()) source->restored_ = state;
  return source;
}

pb::state::LogGroupSource LogGroupSource::Export() const {
  if (restored_) return *restored_;
  pb::state::LogGroupSource state;
  state.set_pattern(pattern_);
  if (cursor_) *state.mutable_cursor() = cursor_->Export();
  state.set_next(next_);
  return state;
}

LogGroupSource::LogGroupSource(const BrokerOptions& options, GroupHost& host,
                               std::shared_ptr<ServedLog> log,
                               std::string pattern,
                               std::shared_ptr<DurableReader> reader)
    : options_(options),
      host_(host),
      log_(std::move(log)),
      pattern_(std::move(pattern)),
      reader_(std::move(reader)) {}

void LogGroupSource::Begin(std::shared_ptr<Egress> egress) {
  host_.Post([self = shared_from_this(), egress = std::move(egress)] {
    self->BeginHere(egress);
  });
}

void LogGroupSource::End() {
  ended_.store(true);
  host_.Post([self = shared_from_this()] { self->EndHere(); });
}

void LogGroupSource::Settle(absl::Span<const uint64_t> offsets) {
  for (const uint64_t offset : offsets) reader_->Settle(offset);
}

void LogGroupSource::OnRoom() {
  if (room_posted_.exchange(true)) return;
  host_.Post([self = shared_from_this()] {
    self->room_posted_.store(false);
    self->Go();
  });
}

void LogGroupSource::BeginHere(std::shared_ptr<Egress> egress) {
  egress_ = std::move(egress);
  LogTarget& target = *this;  // only here is it known to be one
  if (restored_) {
    next_ = restored_->next();
    cursor_.emplace(log_, host_.worker(), options_, target, LogRange{pattern_});
    cursor_->Restore(restored_->cursor());
    restored_.reset();
  } else {
    // One record: what is settled meanwhile is in both or in none.
    const ReaderRecord record = reader_->record();
    next_ = record.position;
    cursor_.emplace(
        log_, host_.worker(), options_, target,
        LogRange{pattern_, record.position, UINT64_MAX, record.done_above});
  }
  log_->watch(host_.worker()).Add(*this);
  log_->blocks(host_.worker()).AddReader();
  Go();
}

void LogGroupSource::EndHere() {
  if (!egress_) return;
  log_->watch(host_.worker()).Remove(*this);
  log_->blocks(host_.worker()).RemoveReader();
  cursor_.reset();
  egress_.reset();
}

void LogGroupSource::Go() {
  // Its reader may be put elsewhere by now.
  if (!egress_ || ended_.load()) return;
  // What it waits for comes by itself: the watch, or OnRoom.
  (void)cursor_->Go();
  PassTo(cursor_->position());
}

void LogGroupSource::PassTo(uint64_t offset) {
  if (next_ < offset) reader_->SettleRange(next_, offset - 1);
  next_ = offset;
}

size_t LogGroupSource::Offer(absl::Span<const Slice> slices) {
  const size_t taken = egress_->OfferIfRoom(slices).bytes_taken;
  for (UnitCursor at(slices); at.bytes_passed() < taken; at.Advance()) {
    if (!at.unit().is_message()) continue;
    const uint64_t offset = StoredOffset(at.unit().bytes);
    PassTo(offset);
    next_ = offset + 1;
  }
  return taken;
}

}  // namespace fifobus
