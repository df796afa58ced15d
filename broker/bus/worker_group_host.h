#ifndef FIFOBUS_BROKER_BUS_WORKER_GROUP_HOST_H_
#define FIFOBUS_BROKER_BUS_WORKER_GROUP_HOST_H_

#include <functional>

#include "absl/time/time.h"
#include "broker/core/groups/group_host.h"
#include "broker/core/routing/router.h"
#include "broker/counters.h"
#include "broker/io/worker.h"
#include "broker/options.h"

namespace fifobus {

// Lends the queue groups of a broker one of its workers: the timers of its loop
// and its router. Thread-safe.
class WorkerGroupHost : public GroupHost {
 public:
  // All must live as long as tasks run on the worker. `router` is the worker's.
  WorkerGroupHost(const BrokerOptions& options, Worker& worker, Router& router,
                  Counters& counters);

  absl::Duration Now() const override;
  void RunAfter(absl::Duration delay, std::function<void()> task) override;
  void Post(std::function<void()> task) override;
  size_t worker() const override;
  void Publish(DeadLetter letter) override;

 private:
  const BrokerOptions& options_;
  Worker& worker_;
  Router& router_;
  Counters& counters_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_WORKER_GROUP_HOST_H_
