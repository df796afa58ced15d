#include "clients/cli/bridge/out_chain.h"

#include <algorithm>

#include "clients/cli/bridge/text.h"

namespace fifobus::bridge {

OutChain::OutChain(std::string origin, std::string durable, bool shared,
                   Limits limits)
    : origin_(std::move(origin)),
      durable_(std::move(durable)),
      shared_(shared),
      limits_(limits) {}

bool OutChain::IsOfOtherLog(uint64_t offset, uint64_t stored_unix_nanos) const {
  if (!resume_) return false;
  if (offset == resume_->offset) {
    return stored_unix_nanos != resume_->stored_unix_nanos;
  }
  // Times of a log never decrease.
  return offset > resume_->offset
             ? stored_unix_nanos < resume_->stored_unix_nanos
             : stored_unix_nanos > resume_->stored_unix_nanos;
}

OutChain::Taken OutChain::Take(OutMessage message) {
  if (message.offset <= seen_offset_) {
    return message.stored_unix_nanos > seen_stored_ ? Taken::kOtherLog
                                                    : Taken::kHadBefore;
  }
  if (IsOfOtherLog(message.offset, message.stored_unix_nanos)) {
    return Taken::kOtherLog;
  }
  seen_offset_ = message.offset;
  seen_stored_ = message.stored_unix_nanos;
  if (first_stored_ == 0) first_stored_ = message.stored_unix_nanos;
  if (resume_) {
    const bool had = message.offset <= resume_->offset;
    // Here the log has proved to be the same.
    if (message.offset >= resume_->offset) resume_.reset();
    if (had) {
      ++duplicates_;
      return Taken::kHadBefore;
    }
  }
  bytes_ += message.message.bytes();
  entries_.push_back({std::move(message)});
  return Taken::kTaken;
}

void OutChain::Pass(uint64_t offset) {
  seen_offset_ = std::max(seen_offset_, offset);
}

OutChain::Taken OutChain::OnLogEnd(uint64_t next_offset) {
  return resume_ && next_offset <= resume_->offset ? Taken::kOtherLog
                                                   : Taken::kTaken;
}

void OutChain::BeginNewLog() {
  entries_.clear();
  bytes_ = 0;
  resume_.reset();
  acked_sequence_ = 0;
  acked_offset_ = 0;
  log_is_new_ = true;
  first_stored_ = 0;
  seen_offset_ = 0;
  seen_stored_ = 0;
  BeginRound();
}

void OutChain::BeginRound() {
  ++round_;
  sent_ = 0;
  end_is_known_ = false;
}

void OutChain::GoBackTo(uint64_t last_sequence, const MessageId& last) {
  entries_.clear();
  bytes_ = 0;
  resume_.reset();
  seen_offset_ = last.offset;
  seen_stored_ = last.stored_unix_nanos;
  acked_sequence_ = last_sequence;
  acked_offset_ = last.offset;
  BeginRound();
}

OutChain::EndOutcome OutChain::OnStreamEnd(
    uint64_t last_sequence, const std::optional<MessageId>& last) {
  end_is_known_ = true;
  front_sequence_ = last_sequence;
  if (!last || last->origin != origin_ || last->durable != durable_) {
    return EndOutcome::kGoesOn;
  }
  if (log_is_new_ &&
      (first_stored_ == 0 || last->stored_unix_nanos < first_stored_)) {
    return EndOutcome::kGoesOn;
  }
  // A message that is removed from a stream leaves its sequence behind.
  if (!shared_ && last_sequence < acked_sequence_ &&
      last->offset < acked_offset_) {
    GoBackTo(last_sequence, *last);
    return EndOutcome::kLost;
  }
  acked_sequence_ = last_sequence;
  acked_offset_ = last->offset;
  const uint64_t done = done_offset();
  while (!entries_.empty() && entries_.front().out.offset <= last->offset) {
    ++stored_;
    PopFront();
  }
  if (last->offset <= seen_offset_) return EndOutcome::kGoesOn;
  if (!resume_) done_before_resume_ = done;
  resume_ = last;
  return EndOutcome::kGoesOn;
}

std::optional<std::pair<uint64_t, NatsMessage>> OutChain::NextToSend() {
  while (sent_ < entries_.size() && entries_[sent_].acked) ++sent_;
  if (!end_is_known_ || sent_ == entries_.size()) return std::nullopt;
  Entry& entry = entries_[sent_];
  NatsMessage message = entry.out.message;
  message.headers.push_back(
      {"Nats-Msg-Id", MessageId{origin_, durable_, entry.out.offset,
                                entry.out.stored_unix_nanos}
                          .ToString()});
  if (!shared_) {
    message.headers.push_back(
        {"Nats-Expected-Last-Sequence", Concat(front_sequence_ + sent_)});
  }
  ++sent_;
  if (entry.was_sent) ++resent_;
  entry.was_sent = true;
  return std::pair(entry.out.offset, std::move(message));
}

std::deque<OutChain::Entry>::iterator OutChain::Find(uint64_t offset) {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), offset,
      [](const Entry& entry, uint64_t at) { return entry.out.offset < at; });
  return found != entries_.end() && found->out.offset == offset
             ? found
             : entries_.end();
}

OutChain::AckResult OutChain::OnAck(uint64_t round, uint64_t offset,
                                    const PubAck& ack) {
  if (round != round_) return AckResult::kStale;
  switch (ack.outcome) {
    case PubAck::Outcome::kDuplicate:
      ++duplicates_;
      // In a chain that nobody else writes, the stream's end was not what was
      // said: it is asked for again.
      if (!shared_) return AckResult::kBroken;
      [[fallthrough]];
    case PubAck::Outcome::kStored:
      return OnStored(offset, ack);
    case PubAck::Outcome::kTooLarge:
      return AckResult::kTooLarge;
    case PubAck::Outcome::kWrongPlace:
    case PubAck::Outcome::kNoStream:
    case PubAck::Outcome::kOtherStream:
    case PubAck::Outcome::kRefused:
      break;
  }
  return AckResult::kBroken;
}

OutChain::AckResult OutChain::OnStored(uint64_t offset, const PubAck& ack) {
  const auto found = Find(offset);
  if (found == entries_.end()) return AckResult::kStale;
  if (shared_) {
    found->acked = true;
    while (!entries_.empty() && entries_.front().acked) {
      ++stored_;
      PopFront();
    }
    return AckResult::kGood;
  }
  // With it all before it are stored: the chain says so.
  const auto before = static_cast<uint64_t>(found - entries_.begin());
  if (ack.sequence != front_sequence_ + before + 1) return AckResult::kBroken;
  for (uint64_t i = 0; i <= before; ++i) {
    ++stored_;
    ++front_sequence_;
    PopFront();
  }
  acked_sequence_ = ack.sequence;
  acked_offset_ = offset;
  return AckResult::kGood;
}

std::optional<OutMessage> OutChain::TakeRefused(uint64_t offset) {
  const auto found = Find(offset);
  if (found == entries_.end()) return std::nullopt;
  OutMessage refused = std::move(found->out);
  bytes_ -= refused.message.bytes();
  entries_.erase(found);
  BeginRound();
  return refused;
}

void OutChain::PopFront() {
  bytes_ -= entries_.front().out.message.bytes();
  entries_.pop_front();
  if (sent_ > 0) --sent_;
}

uint64_t OutChain::done_offset() const {
  if (resume_) return done_before_resume_;
  return entries_.empty() ? seen_offset_ : entries_.front().out.offset - 1;
}

}  // namespace fifobus::bridge
