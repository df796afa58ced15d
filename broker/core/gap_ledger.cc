#include "broker/core/gap_ledger.h"

#include "broker/base/check.h"
#include "proto/frame_writer.h"

namespace fifobus {

void GapLedger::Add(std::string_view topic) {
  ++messages_;
  const auto known =
      by_topic_.find(absl::string_view(topic.data(), topic.size()));
  if (known != by_topic_.end()) {
    ++known->second;
  } else if (by_topic_.size() < kTopicsMax) {
    by_topic_.emplace(topic, 1);
  }
}

std::string GapLedger::TakeFrame() {
  FIFOBUS_CHECK(!empty());
  pb::Frame frame;
  pb::Gap& gap = *frame.mutable_gap();
  gap.set_reason(pb::Gap::REASON_OVERFLOW);
  gap.set_messages(messages_);
  for (const auto& [topic, messages] : by_topic_) {
    pb::Gap::Loss& loss = *gap.add_losses();
    loss.set_topic(topic);
    loss.set_messages(messages);
  }
  messages_ = 0;
  by_topic_.clear();
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

}  // namespace fifobus
