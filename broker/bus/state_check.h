#ifndef FIFOBUS_BROKER_BUS_STATE_CHECK_H_
#define FIFOBUS_BROKER_BUS_STATE_CHECK_H_

#include <cstddef>

#include "broker/core/retained/retained_store.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/broker_state.pb.h"

namespace fifobus {

// Builds what a state tells, as far as that needs no descriptor, no thread and
// no log: queues, what holds publishers back, begun frames, wills and retained
// values. The program that is to go on does so while the old broker still could.
//
// What cannot be built CHECK-fails, as it would behind the point of no return:
// that ends only this program. The bytes of chunks are not looked at.
//
// Thread-compatible.
class StateCheck {
 public:
  // The options must live as long as this.
  explicit StateCheck(const BrokerOptions& options)
      : options_(options), retained_(options, counters_) {}

  // In the order of the state. `chunk_bytes`: of a chunk.
  void Add(const pb::state::Record& record, size_t chunk_bytes);

 private:
  void AddSession(const pb::state::SessionLink& session);
  void AddIngress(const pb::state::IngressPipe& ingress);
  void AddEgress(const pb::state::Egress& egress);

  const BrokerOptions& options_;
  Counters counters_;
  RetainedStore retained_;
  StateChunks chunks_;
  StateIngresses ingresses_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_STATE_CHECK_H_
