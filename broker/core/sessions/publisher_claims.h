#ifndef FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_CLAIMS_H_
#define FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_CLAIMS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "broker/base/mutex.h"

namespace fifobus {

// The name of one publisher, and the session that has it. A session routes what
// it publishes in a Turn, during which no other can take the name: what it
// publishes is either wholly before another session's Welcome, or refused.
//
// Its lock is the first that a worker takes: it is held while a chunk is
// routed. Thread-safe.
class PublisherClaim {
 public:
  // Ends the session that has lost the name. Any thread; it must not wait.
  using Fence = std::function<void()>;

  // Gives the name to the session, once what another one is routing is routed,
  // and then fences that one.
  void Take(uint64_t session, Fence fence);
  // Nobody has the name any more, if this session had it.
  void GiveUp(uint64_t session);

  // Thread-compatible: it belongs to its thread.
  class Turn {
   public:
    Turn(PublisherClaim& claim, uint64_t session);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // The session has the name still.
    bool is_owner() const { return is_owner_; }

   private:
    PublisherClaim& claim_;
    bool is_owner_ = false;
  };

 private:
  Mutex mutex_;
  uint64_t session_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: none
  Fence fence_ ABSL_GUARDED_BY(mutex_);
};

// The names that sessions have now. Thread-safe; the lock is a leaf.
class PublisherClaims {
 public:
  // The name's claim, which is Returned when the session ends.
  std::shared_ptr<PublisherClaim> Find(const std::string& name);
  void Return(const std::string& name, std::shared_ptr<PublisherClaim> claim);

  size_t size() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<PublisherClaim>> claims_
      ABSL_GUARDED_BY(mutex_);
};

// What a session is told that has lost this name.
std::string FencedText(std::string_view name);

// Why this cannot be a publisher's name; empty: it can.
std::string PublisherNameFault(std::string_view name);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_SESSIONS_PUBLISHER_CLAIMS_H_
