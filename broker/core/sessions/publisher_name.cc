#include "broker/core/sessions/publisher_name.h"

#include <utility>

#include "broker/core/logs/served_log.h"

namespace fifobus {

void PublisherName::Take(const std::string& name, PublisherClaim::Fence fence) {
  named_ = std::make_unique<NamedPublisher>(name);
  claim_ = claims_.Find(name);
  claim_->Take(session_, std::move(fence));
  BeginTurn();
}

void PublisherName::Restore(const std::string& name, bool lost,
                            PublisherClaim::Fence fence) {
  named_ = std::make_unique<NamedPublisher>(name);
  claim_ = claims_.Find(name);
  if (!lost) claim_->Take(session_, std::move(fence));
}

void PublisherName::GiveUp() {
  if (!claim_) return;
  claim_->GiveUp(session_);
  claims_.Return(named_->name(), std::move(claim_));
}

void PublisherName::BeginTurn() {
  if (claim_) turn_.emplace(*claim_, session_);
}

void PublisherName::AddMarks(const LogTable& logs, pb::Welcome& welcome,
                             PendingAnswers& pending) const {
  if (!named_) return;
  for (const LogTable::Entry& entry : logs.entries()) {
    const auto mark = named_->MarkIn(*entry.log);
    if (!mark) continue;
    pb::Welcome::PublisherMark& told = *welcome.add_publisher_marks();
    told.set_log(entry.log->name());
    told.set_last_sequence(mark->last_sequence);
    told.set_last_offset(mark->last_offset);
    pending.NoteAppended(*entry.log, mark->last_offset);
  }
}

}  // namespace fifobus
