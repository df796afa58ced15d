#include "broker/core/routing/subscribe_with_retained.h"

#include <string>
#include <vector>

#include "proto/message_text.h"

namespace fifobus {
namespace {

// What is offered in one write. Not tuned.
constexpr size_t kMessagesAtOnce = 64;

// Offers retained messages to one egress in its format.
class Replay {
 public:
  explicit Replay(Egress& egress) : egress_(egress) {}

  void Add(const RetainedValue& value) {
    if (egress_.format() != EgressFormat::kFrames) {
      QueueRendered(value);
      return;
    }
    values_.push_back(value);
    if (values_.size() == kMessagesAtOnce) Flush();
  }

  void Flush() {
    if (!values_.empty()) egress_.OfferFirst(values_);
    values_.clear();
    if (egress_.format() != EgressFormat::kFrames) egress_.OnWritable();
  }

 private:
  void QueueRendered(const RetainedValue& value) {
    const MessageView message = ReadMessageFrame(value.frame());
    DeliveryView delivery;
    delivery.retained = true;
    std::string text;
    if (egress_.format() == EgressFormat::kJson) {
      AppendJsonLine(message, delivery, text);
    } else {
      AppendPlainText(message, text);
    }
    const ChunkRef chunk = Chunk::CopyOf(text);
    const Slice slice{chunk->bytes(), text.size(), value.expiry_unix_nanos};
    egress_.QueueFirst(chunk, slice);
  }

  Egress& egress_;
  std::vector<RetainedValue> values_;
};

}  // namespace

void SubscribeWithRetained(RetainedStore& store, SubscriptionTable& table,
                           std::string_view pattern,
                           const std::shared_ptr<Egress>& egress) {
  RetainedStore::Transaction retained(store);
  const auto before = table.snapshot();
  Replay replay(*egress);
  retained.Replay(pattern,
                  [&](const std::string& topic, const RetainedValue& value) {
                    if (!before->Reaches(topic, egress->id()))
                      replay.Add(value);
                  });
  replay.Flush();
  // Added last, because nothing live may come before an older retained message.
  // A message that was published meanwhile without `retain` is from before the
  // subscription.
  table.Add(pattern, egress);
}

}  // namespace fifobus
