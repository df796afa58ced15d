#include "broker/core/delivery/gap_ledger.h"

#include "fmt/format.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

pb::Gap::Reason ReasonInFrame(LossReason reason) {
  switch (reason) {
    case LossReason::kOverflow:
      return pb::Gap::REASON_OVERFLOW;
    case LossReason::kConflated:
      return pb::Gap::REASON_CONFLATED;
    case LossReason::kExpired:
      return pb::Gap::REASON_EXPIRED;
    case LossReason::kDisconnected:
      return pb::Gap::REASON_DISCONNECTED;
  }
  return pb::Gap::REASON_UNSPECIFIED;
}

std::string_view ReasonText(LossReason reason) {
  switch (reason) {
    case LossReason::kOverflow:
      return "overflow";
    case LossReason::kConflated:
      return "conflated";
    case LossReason::kExpired:
      return "expired";
    case LossReason::kDisconnected:
      return "disconnected";
  }
  return "";
}

}  // namespace

void GapLedger::Losses::Add(std::string_view topic, uint64_t count) {
  const auto known =
      by_topic.find(absl::string_view(topic.data(), topic.size()));
  if (known != by_topic.end()) {
    known->second += count;
  } else if (!topic.empty() && by_topic.size() < kTopicsMax) {
    by_topic.emplace(topic, count);
  }
}

void GapLedger::Add(LossReason reason, std::string_view topic) {
  Losses& losses = by_reason_[static_cast<size_t>(reason)];
  ++losses.messages;
  losses.Add(topic, 1);
}

void GapLedger::Add(const GapLedger& other) {
  for (size_t i = 0; i < kLossReasons; ++i) {
    by_reason_[i].messages += other.by_reason_[i].messages;
    for (const auto& [topic, count] : other.by_reason_[i].by_topic) {
      by_reason_[i].Add(topic, count);
    }
  }
}

uint64_t GapLedger::messages() const {
  uint64_t messages = 0;
  for (const Losses& losses : by_reason_) messages += losses.messages;
  return messages;
}

std::string GapLedger::Frames() const {
  std::string bytes;
  for (size_t i = 0; i < kLossReasons; ++i) {
    const Losses& losses = by_reason_[i];
    if (losses.messages == 0) continue;
    pb::Frame frame;
    pb::Gap& gap = *frame.mutable_gap();
    gap.set_reason(ReasonInFrame(static_cast<LossReason>(i)));
    gap.set_messages(losses.messages);
    for (const auto& [topic, messages] : losses.by_topic) {
      pb::Gap::Loss& loss = *gap.add_losses();
      loss.set_topic(topic);
      loss.set_messages(messages);
    }
    AppendFrame(frame, bytes);
  }
  return bytes;
}

std::string GapLedger::JsonLines() const {
  std::string lines;
  for (size_t i = 0; i < kLossReasons; ++i) {
    if (by_reason_[i].messages == 0) continue;
    lines += fmt::format("{{\"gap\":{{\"reason\":\"{}\",\"messages\":{}}}}}\n",
                         ReasonText(static_cast<LossReason>(i)),
                         by_reason_[i].messages);
  }
  return lines;
}

}  // namespace fifobus
