#ifndef FIFOBUS_BROKER_CORE_SESSIONS_WILL_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_WILL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "broker/core/routing/router.h"
#include "broker/rules/topic_rules.h"
#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"

namespace fifobus {

// What a client has left to be published when it ends without a word: one
// Message frame, checked when it was made. Worker-affine; owned by a Session.
class Will {
 public:
  // Nothing to be published.
  Will() = default;

  // Takes the place of what it was. The fault is what the Message would be
  // refused for; then nothing has changed.
  [[nodiscard]] FrameFault Set(const pb::Message& message,
                               size_t frame_bytes_max);

  // Forgets it: the client has taken its leave.
  void Clear() { frame_ = ChunkRef(); }
  bool empty() const { return !frame_; }

  // Whether the user may publish it. REQUIRES: !empty().
  bool IsAllowed(const TopicRules& rules, uint32_t uid) const;

  // Publishes it, once; nothing, if the user may not publish it any more.
  // REQUIRES: !empty(), and all is flushed.
  void Publish(Router& router, const std::shared_ptr<Valve>& valve,
               PublisherId publisher);

  // What an upgrade takes over; no chunk: nothing is to be published.
  const ChunkRef& frame() const { return frame_; }
  void Restore(ChunkRef frame) { frame_ = std::move(frame); }

 private:
  ChunkRef frame_;  // the whole chunk
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_WILL_H_
