#ifndef FIFOBUS_TESTS_SUPPORT_STATE_CARRIER_H_
#define FIFOBUS_TESTS_SUPPORT_STATE_CARRIER_H_

#include <string>

#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "gtest/gtest.h"

namespace fifobus {

// Carries a state from one broker to the next, as bytes.
class StateCarrier {
 public:
  // What the new broker reads of it. Chunks that were exported so far arrive.
  template <typename State>
  State Carry(const State& state) {
    for (const StateChunks::Exported& chunk : old_chunks.exported()) {
      new_chunks.Add(chunk.number, chunk.begin, Chunk::CopyOf(chunk.bytes));
    }
    State carried;
    EXPECT_TRUE(carried.ParseFromString(state.SerializeAsString()));
    return carried;
  }

  StateChunks old_chunks;
  StateChunks new_chunks;
  StateIngresses old_ingresses;
  StateIngresses new_ingresses;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_STATE_CARRIER_H_
