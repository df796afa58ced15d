#include "broker/core/delivery/gap_ledger.h"

#include <algorithm>
#include <utility>

#include "broker/state/delivery_state.pb.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

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

// A topic's entry without its name: the string, the count, and the table's share
// of free places.
constexpr size_t kTopicBytes = 80;

// Writes the losses of one reason as Gap frames of a bounded size.
class GapFrames {
 public:
  GapFrames(LossReason reason, size_t frame_bytes_max, std::string& out)
      : reason_(reason), frame_bytes_max_(frame_bytes_max), out_(out) {}

  void Add(const std::string& topic, uint64_t messages) {
    pb::Gap::Loss loss;
    loss.set_topic(topic);
    loss.set_messages(messages);
    // Its tag and length take three bytes at most: a topic has 200.
    const size_t loss_bytes = 3 + loss.ByteSizeLong();
    if (gap_.losses_size() > 0 &&
        kGapBytesMax + losses_bytes_ + loss_bytes > frame_bytes_max_) {
      Finish(0);
    }
    gap_.set_messages(gap_.messages() + messages);
    *gap_.add_losses() = std::move(loss);
    losses_bytes_ += loss_bytes;
  }

  // Writes what is left, with messages of topics that are not known.
  void Finish(uint64_t messages) {
    gap_.set_messages(gap_.messages() + messages);
    if (gap_.messages() == 0) return;
    pb::Frame frame;
    frame.mutable_gap()->Swap(&gap_);
    frame.mutable_gap()->set_reason(ReasonInFrame(reason_));
    AppendFrame(frame, out_);
    losses_bytes_ = 0;
  }

 private:
  // A Gap without losses: tag and length of the member, its reason, and a
  // number of ten bytes.
  static constexpr size_t kGapBytesMax = 6 + 2 + 11;

  const LossReason reason_;
  const size_t frame_bytes_max_;
  std::string& out_;
  pb::Gap gap_;
  size_t losses_bytes_ = 0;
};

}  // namespace

pb::Gap_Reason ReasonInFrame(LossReason reason) {
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

std::optional<LossReason> LossReasonOf(pb::Gap_Reason reason) {
  for (size_t i = 0; i < kLossReasons; ++i) {
    const auto known = static_cast<LossReason>(i);
    if (ReasonInFrame(known) == reason) return known;
  }
  return std::nullopt;
}

void GapLedger::Count(Losses& losses, std::string_view topic,
                      uint64_t messages) {
  losses.messages += messages;
  const auto known =
      losses.by_topic.find(absl::string_view(topic.data(), topic.size()));
  if (known != losses.by_topic.end()) {
    known->second += messages;
  } else if (!topic.empty() && losses.by_topic.size() < kTopicsMax) {
    losses.by_topic.emplace(topic, messages);
    topics_bytes_ += kTopicBytes + topic.size();
  }
}

void GapLedger::Add(LossReason reason, std::string_view topic) {
  Count(by_reason_[static_cast<size_t>(reason)], topic, 1);
}

void GapLedger::Add(const GapLedger& other) {
  for (size_t i = 0; i < kLossReasons; ++i) {
    const Losses& from = other.by_reason_[i];
    uint64_t rest = from.messages;
    for (const auto& [topic, messages] : from.by_topic) {
      Count(by_reason_[i], topic, messages);
      rest -= messages;
    }
    by_reason_[i].messages += rest;
  }
}

uint64_t GapLedger::messages() const {
  uint64_t messages = 0;
  for (const Losses& losses : by_reason_) messages += losses.messages;
  return messages;
}

std::string GapLedger::Frames(size_t frame_bytes_max) const {
  std::string bytes;
  for (size_t i = 0; i < kLossReasons; ++i) {
    const Losses& losses = by_reason_[i];
    if (losses.messages == 0) continue;
    GapFrames frames(static_cast<LossReason>(i), frame_bytes_max, bytes);
    uint64_t rest = losses.messages;
    for (const auto& [topic, messages] : losses.by_topic) {
      frames.Add(topic, messages);
      rest -= messages;
    }
    frames.Finish(rest);
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

pb::state::GapLedger GapLedger::Export() const {
  pb::state::GapLedger state;
  for (size_t i = 0; i < kLossReasons; ++i) {
    const Losses& losses = by_reason_[i];
    if (losses.messages == 0) continue;
    pb::state::GapLedger::Losses& one = *state.add_losses();
    one.set_reason(ReasonInFrame(static_cast<LossReason>(i)));
    one.set_messages(losses.messages);
    for (const auto& [topic, messages] : losses.by_topic) {
      pb::Gap::Loss& loss = *one.add_by_topic();
      loss.set_topic(topic);
      loss.set_messages(messages);
    }
  }
  return state;
}

// Losses for a reason that this broker does not know are told as overflow.
GapLedger GapLedger::Restore(const pb::state::GapLedger& state) {
  GapLedger ledger;
  for (const pb::state::GapLedger::Losses& one : state.losses()) {
    const LossReason reason =
        LossReasonOf(one.reason()).value_or(LossReason::kOverflow);
    Losses& losses = ledger.by_reason_[static_cast<size_t>(reason)];
    uint64_t rest = one.messages();
    for (const pb::Gap::Loss& loss : one.by_topic()) {
      ledger.Count(losses, loss.topic(), loss.messages());
      rest -= std::min(rest, loss.messages());
    }
    losses.messages += rest;
  }
  return ledger;
}

std::string OverflowErrorFrame() {
  pb::Frame frame;
  frame.mutable_error()->set_code(pb::Error::CODE_OVERFLOW);
  frame.mutable_error()->set_text(
      "this subscriber was too slow and had asked to be disconnected then");
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

}  // namespace fifobus
