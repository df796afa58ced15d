#ifndef FIFOBUS_BROKER_IO_PARKED_WORKERS_H_
#define FIFOBUS_BROKER_IO_PARKED_WORKERS_H_

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "broker/base/mutex.h"
#include "broker/io/worker.h"

namespace fifobus {

// All workers of a broker, stopped between two of their tasks. Meanwhile nothing
// runs on them but what is given to RunOn, one task at a time, so that the state
// of the whole broker can be collected or put in place with all its owners'
// threads at hand and no other thread in between.
//
// Thread-compatible: one thread, which is no worker, makes and destroys it.
class ParkedWorkers {
 public:
  // Returns when all are parked. What was posted before has run.
  explicit ParkedWorkers(const std::vector<std::unique_ptr<Worker>>& workers);
  // Lets them go on.
  ~ParkedWorkers();
  ParkedWorkers(const ParkedWorkers&) = delete;
  ParkedWorkers& operator=(const ParkedWorkers&) = delete;

  // Whether nothing was posted that has not run.
  bool AtRest() const;

  // Runs `task` on the worker's thread and waits for its end.
  void RunOn(const Worker& worker, absl::FunctionRef<void()> task);
  void RunOnEach(absl::FunctionRef<void(Worker&)> task);

 private:
  // Where one worker stands.
  struct Bay {
    Mutex mutex;
    Condition changed;
    bool parked ABSL_GUARDED_BY(mutex) = false;
    bool released ABSL_GUARDED_BY(mutex) = false;
    const absl::FunctionRef<void()>* task ABSL_GUARDED_BY(mutex) = nullptr;
  };

  // On the worker's thread, until it is released.
  static void Park(Bay& bay);
  // Null: the worker is released.
  static const absl::FunctionRef<void()>* NextTask(Bay& bay);

  const std::vector<std::unique_ptr<Worker>>& workers_;
  // By worker. Shared with the task, which may end after this object.
  std::vector<std::shared_ptr<Bay>> bays_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_PARKED_WORKERS_H_
