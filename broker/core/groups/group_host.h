#ifndef FIFOBUS_BROKER_CORE_GROUPS_GROUP_HOST_H_
#define FIFOBUS_BROKER_CORE_GROUPS_GROUP_HOST_H_

#include <cstddef>
#include <functional>

#include "absl/time/time.h"
#include "broker/core/groups/dead_letter.h"

namespace fifobus {

// What queue groups need of the broker around the core: time, and a way to
// publish. Thread-safe. May be called under a group's locks, and so
// must leave what it is asked for to another moment.
class GroupHost {
 public:
  virtual ~GroupHost() = default;

  // Since some moment in the past; never set back.
  virtual absl::Duration Now() const = 0;
  // Calls `task` once, under no lock, when `delay` has passed.
  virtual void RunAfter(absl::Duration delay, std::function<void()> task) = 0;
  // Calls `task` once, under no lock, on the thread of one worker, and which
  // worker that is.
  virtual void Post(std::function<void()> task) = 0;
  virtual size_t worker() const = 0;
  // Has PublishDeadLetter called.
  virtual void Publish(DeadLetter letter) = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_GROUP_HOST_H_
