#include "broker/core/sessions/owed_confirms.h"

#include <algorithm>

namespace fifobus {
namespace {

pb::Confirm::Failure FailureOf(AppendOutcome outcome) {
  return outcome == AppendOutcome::kTooManyPublishers
             ? pb::Confirm::FAILURE_TOO_MANY_PUBLISHERS
             : pb::Confirm::FAILURE_LOG_FAILED;
}

}  // namespace

// One that is not known here may be higher than all that are.
pb::Confirm::Level LevelOf(uint32_t level) {
  return static_cast<pb::Confirm::Level>(
      std::min<uint32_t>(level, pb::Confirm::LEVEL_STORED));
}

void OwedConfirms::Add(const MessageView& message, bool duplicate) {
  const Router::Receivers receivers = router_.LastReceivers(message);
  Owed owed;
  owed.answer.confirm_id = message.confirm_id;
  owed.answer.level = LevelOf(message.confirm_level);
  owed.answer.log = receivers.log;
  owed.answer.duplicate = duplicate;
  owed.sequence = message.sequence;
  if (!duplicate) {
    owed.answer.sessions = receivers.sessions;
    owed.answer.taps = receivers.taps;
    owed.answer.retained = receivers.retained;
    owed.place = receivers.place;
  }
  owed_.push_back(owed);
}

void OwedConfirms::Settle(NamedPublisher* named) {
  NoteBatches();
  for (Owed& owed : owed_) {
    if (owed.answer.log == nullptr) {
      owed.answer.failure = pb::Confirm::FAILURE_NO_LOG;
    } else if (owed.answer.duplicate) {
      SettleDuplicate(owed, *named);
    } else if (owed.place) {
      SettleStored(owed);
    } else {
      owed.answer.log = nullptr;  // expired: there is nothing to store
    }
    pending_.AddConfirm(owed.answer);
  }
  owed_.clear();
}

void OwedConfirms::NoteBatches() {
  for (const LogGather::Batch& batch : router_.log_batches()) {
    if (batch.messages == 0) continue;
    if (batch.outcome == AppendOutcome::kAppended) {
      pending_.NoteAppended(*batch.log, batch.last_offset());
    } else {
      pending_.NoteNotStored(FailureOf(batch.outcome));
    }
  }
}

void OwedConfirms::SettleStored(Owed& owed) const {
  const LogGather::Batch& batch = router_.log_batches()[owed.place->batch];
  if (batch.outcome == AppendOutcome::kAppended) {
    owed.answer.offset = batch.base_offset + owed.place->index;
    owed.answer.stored_offset = owed.answer.offset;
  } else {
    owed.answer.log = nullptr;
    owed.answer.failure = FailureOf(batch.outcome);
  }
}

void OwedConfirms::SettleDuplicate(Owed& owed, NamedPublisher& named) {
  PendingConfirm& answer = owed.answer;
  const auto mark = named.MarkIn(*answer.log);
  if (!mark || mark->last_sequence < owed.sequence) {
    // What it repeats was not taken.
    answer.log = nullptr;
    answer.failure = pb::Confirm::FAILURE_LOG_FAILED;
    return;
  }
  answer.stored_offset = mark->last_offset;
  if (mark->last_sequence == owed.sequence) answer.offset = mark->last_offset;
  pending_.NoteAppended(*answer.log, mark->last_offset);
}

}  // namespace fifobus
