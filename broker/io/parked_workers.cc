#include "broker/io/parked_workers.h"

#include <cstddef>
#include <utility>

namespace fifobus {

ParkedWorkers::ParkedWorkers(
    const std::vector<std::unique_ptr<Worker>>& workers)
    : workers_(workers) {
  for (const auto& worker : workers_) {
    auto bay = std::make_shared<Bay>();
    worker->loop().Post([bay] { Park(*bay); });
    bays_.push_back(std::move(bay));
  }
  for (const std::shared_ptr<Bay>& bay : bays_) {
    MutexLock lock(bay->mutex);
    bay->changed.Await(bay->mutex, [&] {
      bay->mutex.AssertHeld();
      return bay->parked;
    });
  }
}

ParkedWorkers::~ParkedWorkers() {
  for (const std::shared_ptr<Bay>& bay : bays_) {
    MutexLock lock(bay->mutex);
    bay->released = true;
    bay->changed.NotifyAll();
  }
}

void ParkedWorkers::Park(Bay& bay) {
  {
    MutexLock lock(bay.mutex);
    bay.parked = true;
    bay.changed.NotifyAll();
  }
  while (const absl::FunctionRef<void()>* const task = NextTask(bay)) {
    (*task)();
    MutexLock lock(bay.mutex);
    bay.task = nullptr;
    bay.changed.NotifyAll();
  }
}

const absl::FunctionRef<void()>* ParkedWorkers::NextTask(Bay& bay) {
  MutexLock lock(bay.mutex);
  bay.changed.Await(bay.mutex, [&] {
    bay.mutex.AssertHeld();
    return bay.released || bay.task != nullptr;
  });
  return bay.task;
}

bool ParkedWorkers::AtRest() const {
  for (const auto& worker : workers_) {
    if (worker->loop().HasTasks()) return false;
  }
  return true;
}

void ParkedWorkers::RunOn(const Worker& worker,
                          absl::FunctionRef<void()> task) {
  Bay& bay = *bays_[static_cast<size_t>(worker.index())];
  MutexLock lock(bay.mutex);
  bay.task = &task;
  bay.changed.NotifyAll();
  bay.changed.Await(bay.mutex, [&] {
    bay.mutex.AssertHeld();
    return bay.task == nullptr;
  });
}

void ParkedWorkers::RunOnEach(absl::FunctionRef<void(Worker&)> task) {
  for (const auto& worker : workers_) RunOn(*worker, [&] { task(*worker); });
}

}  // namespace fifobus
