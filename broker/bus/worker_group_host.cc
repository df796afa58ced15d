#include "broker/bus/worker_group_host.h"

#include <memory>
#include <utility>

#include "broker/base/clock.h"
#include "broker/base/log.h"

namespace fifobus {

WorkerGroupHost::WorkerGroupHost(const BrokerOptions& options, Worker& worker,
                                 Router& router, Counters& counters)
    : options_(options),
      worker_(worker),
      router_(router),
      counters_(counters) {}

absl::Duration WorkerGroupHost::Now() const { return MonotonicNow(); }

void WorkerGroupHost::RunAfter(absl::Duration delay,
                               std::function<void()> task) {
  worker_.loop().Post([this, delay, task = std::move(task)] {
    worker_.loop().RunAfter(delay, task);
  });
}

void WorkerGroupHost::Post(std::function<void()> task) {
  worker_.loop().Post(std::move(task));
}

size_t WorkerGroupHost::worker() const {
  return static_cast<size_t>(worker_.index());
}

void WorkerGroupHost::Publish(DeadLetter letter) {
  worker_.loop().Post([this, letter = std::move(letter)] {
    switch (PublishDeadLetter(letter, options_.frame_bytes_max, router_)) {
      case DeadLetterOutcome::kPublished:
        break;
      case DeadLetterOutcome::kTooLarge:
        counters_.messages_abandoned.Add();
        LogWarning("dead letter too large for a frame",
                   {{"group", letter.group}});
        break;
    }
    if (letter.on_dealt_with) letter.on_dealt_with();
  });
}

}  // namespace fifobus
