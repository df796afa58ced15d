#include "broker/core/routing/fan_out.h"

#include <utility>

#include "broker/base/check.h"
#include "proto/expiry.h"
#include "proto/frame.h"

namespace fifobus {
namespace {

// Rendered ranges are gathered before their text has its final address. Until
// then `bytes` holds the offset.
Slice RangeAt(size_t offset, size_t size) {
  return {reinterpret_cast<const char*>(offset), size};
}

size_t OffsetOf(const Slice& range) {
  return reinterpret_cast<size_t>(range.bytes);
}

bool SameSlices(absl::Span<const Slice> a, absl::Span<const Slice> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Slice& x, const Slice& y) {
                      return x.bytes == y.bytes && x.size == y.size;
                    });
}

}  // namespace

void FanOut::Begin(const ChunkRef& chunk, const std::shared_ptr<Valve>& valve) {
  chunk_ = &chunk;
  valve_ = &valve;
}

FanOut::Gathered& FanOut::GatheredFor(const std::shared_ptr<Egress>& egress) {
  if (egress->id() >= marks_.size()) marks_.resize(egress->id() + 1);
  Mark& mark = marks_[egress->id()];
  if (mark.round != round_) {
    mark = {round_, gathered_count_++};
    if (gathered_count_ > gathered_.size()) gathered_.emplace_back();
    gathered_[mark.index].egress = egress;
  }
  return gathered_[mark.index];
}

void FanOut::AddFrames(const Slice& frames, const Egresses& targets) {
  for (const std::shared_ptr<Egress>& egress : targets) {
    if (egress->format() != EgressFormat::kFrames) continue;
    std::vector<Slice>& slices = GatheredFor(egress).slices;
    if (slices.empty() ||
        slices.back().bytes + slices.back().size != frames.bytes) {
      slices.push_back(frames);
      continue;
    }
    Slice& last = slices.back();
    last.size += frames.size;
    last.expiry_unix_nanos =
        EarlierExpiry(last.expiry_unix_nanos, frames.expiry_unix_nanos);
    last.messages += frames.messages;
  }
}

void FanOut::AddMessage(const MessageView& message, const Egresses& targets) {
  bool text = false;
  bool json = false;
  for (const std::shared_ptr<Egress>& egress : targets) {
    text |= egress->format() == EgressFormat::kText;
    json |= egress->format() == EgressFormat::kJson;
  }
  text_.message_begin = text_.text.size();
  json_.message_begin = json_.text.size();
  if (text) AppendPlainText(message, text_.text);
  if (json) AppendJsonLine(message, DeliveryView(), json_.text);
  for (const std::shared_ptr<Egress>& egress : targets) {
    if (egress->format() == EgressFormat::kFrames) continue;
    AddRendered(egress->format() == EgressFormat::kText ? text_ : json_,
                message.expiry_unix_nanos, egress);
  }
}

void FanOut::AddRendered(const Rendering& rendering, uint64_t expiry_unix_nanos,
                         const std::shared_ptr<Egress>& egress) {
  Slice range = RangeAt(rendering.message_begin,
                        rendering.text.size() - rendering.message_begin);
  range.expiry_unix_nanos = expiry_unix_nanos;
  GatheredFor(egress).slices.push_back(range);
}

void FanOut::OfferRendered(Gathered& gathered, const ChunkRef& chunk) {
  for (Slice& slice : gathered.slices) {
    slice.bytes = chunk->bytes() + OffsetOf(slice);
  }
  Offer(gathered, chunk);
}

void FanOut::Offer(Gathered& gathered, const ChunkRef& chunk,
                   const Staged* staged) {
  uint64_t generation = generation_;
  while (gathered.egress->Offer(chunk, gathered.slices, *valve_, generation,
                                staged) == Egress::OfferOutcome::kStale) {
    generation = LookUpAnew(gathered);
    staged = nullptr;
    if (gathered.slices.empty()) return;
  }
}

// Only sessions, which get frames, unsubscribe and stay.
uint64_t FanOut::LookUpAnew(Gathered& gathered) const {
  FIFOBUS_CHECK(gathered.egress->format() == EgressFormat::kFrames);
  const auto snapshot = table_.snapshot();
  const uint32_t id = gathered.egress->id();
  std::vector<Slice> kept;
  for (const Slice& slice : gathered.slices) {
    for (std::string_view rest(slice.bytes, slice.size); !rest.empty();) {
      const size_t size = FindFrame(rest, rest.size()).frame_bytes;
      const MessageView message = ReadMessageFrame(rest.substr(0, size));
      if (snapshot->Reaches(message.topic, id)) {
        kept.push_back({rest.data(), size, message.expiry_unix_nanos});
      }
      rest.remove_prefix(size);
    }
  }
  gathered.slices = std::move(kept);
  return snapshot->generation();
}

void FanOut::OfferLoss(LossReason reason, std::string_view topic,
                       Egress& egress) {
  uint64_t generation = generation_;
  while (egress.OfferLoss(reason, topic, generation) ==
         Egress::OfferOutcome::kStale) {
    const auto snapshot = table_.snapshot();
    if (!snapshot->Reaches(topic, egress.id())) return;
    generation = snapshot->generation();
  }
}

bool FanOut::WorthStaging(size_t bytes, size_t subscribers) const {
  return staging_ != nullptr && subscribers > 1 &&
         bytes >= options_.staged_bytes_min &&
         bytes * subscribers >= options_.staged_total_bytes_min;
}

size_t FanOut::OfferFrames(size_t begin) {
  const std::vector<Slice>& slices = gathered_[begin].slices;
  size_t end = begin + 1;
  while (end < gathered_count_ && SameSlices(gathered_[end].slices, slices)) {
    ++end;
  }
  const Staged* staged = nullptr;
  if (WorthStaging(TotalBytes(slices), end - begin)) {
    staged = staging_->Load(slices);
  }
  for (size_t i = begin; i < end; ++i) {
    Offer(gathered_[i], *chunk_, staged);
  }
  if (staged != nullptr) staging_->Unload();
  return end;
}

void FanOut::Flush() {
  const ChunkRef text =
      text_.text.empty() ? ChunkRef() : Chunk::CopyOf(text_.text);
  const ChunkRef json =
      json_.text.empty() ? ChunkRef() : Chunk::CopyOf(json_.text);
  for (size_t i = 0; i < gathered_count_;) {
    switch (gathered_[i].egress->format()) {
      case EgressFormat::kFrames:
        i = OfferFrames(i);
        break;
      case EgressFormat::kText:
        OfferRendered(gathered_[i++], text);
        break;
      case EgressFormat::kJson:
        OfferRendered(gathered_[i++], json);
        break;
    }
  }
  for (size_t i = 0; i < gathered_count_; ++i) {
    gathered_[i].egress.reset();
    gathered_[i].slices.clear();
  }
  gathered_count_ = 0;
  ++round_;
  text_.text.clear();
  json_.text.clear();
}

}  // namespace fifobus
