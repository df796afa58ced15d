#ifndef FIFOBUS_BROKER_CORE_ROUTING_FAN_OUT_H_
#define FIFOBUS_BROKER_CORE_ROUTING_FAN_OUT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/delivery/egress.h"
#include "broker/core/routing/subscription_table.h"
#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"
#include "proto/message_text.h"

namespace fifobus {

// Gathers, for each subscriber, its slices of one chunk, and then offers them:
// one offer per subscriber per chunk. Subscribers of frames get ranges of the
// chunk itself, adjacent ones joined; taps get ranges of a text rendered once
// per chunk for all of them. Neighbours that get the same long slices are
// offered them staged.
//
// Keeps its vectors from chunk to chunk, so that gathering allocates nothing
// once it is warm. Worker-affine; owned by a Router.
class FanOut {
 public:
  // `staging` may be null. All must live as long as this.
  FanOut(const BrokerOptions& options, const SubscriptionTable& table,
         Staging* staging)
      : options_(options), table_(table), staging_(staging) {}

  using Egresses = SubscriptionSnapshot::Egresses;

  // Starts with another chunk. Both must live until the last Flush for it.
  // REQUIRES: Flush was called since the last Add...
  void Begin(const ChunkRef& chunk, const std::shared_ptr<Valve>& valve);

  // `frames` lie in the chunk. Goes to the targets that want frames.
  void AddFrames(const Slice& frames, const Egresses& targets);

  // Goes to the targets that want text or JSON.
  void AddMessage(const MessageView& message, const Egresses& targets);

  void Flush();

  // That of the chunk. REQUIRES: Begin was called.
  const std::shared_ptr<Valve>& valve() const { return *valve_; }

  // The snapshot that targets are looked up in from now on. REQUIRES: Flush was
  // called since the last Add...
  void SetGeneration(uint64_t generation) { generation_ = generation; }

  // A message on this topic is lost for the egress, a target of its. REQUIRES:
  // Flush was called since the last Add...
  void OfferLoss(LossReason reason, std::string_view topic, Egress& egress);

 private:
  struct Gathered {
    std::shared_ptr<Egress> egress;
    std::vector<Slice> slices;
  };
  // A rendering's ranges are kept as offsets until the text stops growing.
  struct Rendering {
    std::string text;
    size_t message_begin = 0;  // of the message that was rendered last
  };

  Gathered& GatheredFor(const std::shared_ptr<Egress>& egress);
  void AddRendered(const Rendering& rendering, uint64_t expiry_unix_nanos,
                   const std::shared_ptr<Egress>& egress);
  void Offer(Gathered& gathered, const ChunkRef& chunk,
             const Staged* staged = nullptr);
  // Leaves the messages that the current snapshot has for it, and returns the
  // snapshot's generation.
  uint64_t LookUpAnew(Gathered& gathered) const;
  bool WorthStaging(size_t bytes, size_t subscribers) const;
  // Offers a run of subscribers, from `begin` on, that get the same frames.
  // Returns its end.
  size_t OfferFrames(size_t begin);
  void OfferRendered(Gathered& gathered, const ChunkRef& chunk);

  const BrokerOptions& options_;
  const SubscriptionTable& table_;
  Staging* const staging_;
  uint64_t generation_ = 0;

  // Pointers and not copies: a copy would keep the chunk from being reused.
  const ChunkRef* chunk_ = nullptr;
  const std::shared_ptr<Valve>* valve_ = nullptr;

  std::vector<Gathered> gathered_;
  size_t gathered_count_ = 0;
  // Where an egress, by its id, stands in gathered_, if `round` is the current
  // one.
  struct Mark {
    uint64_t round = 0;
    size_t index = 0;
  };
  std::vector<Mark> marks_;
  uint64_t round_ = 1;

  Rendering text_;
  Rendering json_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_FAN_OUT_H_
