#ifndef FIFOBUS_BROKER_BUS_COUNTERS_TRANSFER_H_
#define FIFOBUS_BROKER_BUS_COUNTERS_TRANSFER_H_

#include "broker/counters.h"
#include "broker/state/shared_state.pb.h"

// The broker's counters in an upgrade. Thread-safe (no state).
namespace fifobus {

inline pb::state::Counters ExportCounters(const Counters& counters) {
  pb::state::Counters state;
  counters.ForEach([&](const char* name, uint64_t value) {
    (*state.mutable_counts())[name] = value;
  });
  return state;
}

// Adds what was counted before.
inline void RestoreCounters(const pb::state::Counters& state,
                            Counters& counters) {
  counters.ForEachCounter([&](const char* name, Counter& counter) {
    const auto before = state.counts().find(name);
    if (before != state.counts().end()) counter.Add(before->second);
  });
}

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_COUNTERS_TRANSFER_H_
