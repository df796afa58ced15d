#ifndef FIFOBUS_BROKER_UPGRADE_STATE_DIALECT_H_
#define FIFOBUS_BROKER_UPGRADE_STATE_DIALECT_H_

#include <cstdint>
#include <string>

namespace fifobus {

// What this program writes and understands of a state.
// Thread-compatible (plain data).
struct StateDialect {
  // Of this program, and the lowest of a program that can read what it writes.
  //   1  the first
  uint32_t format = 1;
  uint32_t needs = 1;
  // Encoded fields that only a later program has, in the Header and as a record
  // of their own. Those of a program that is released are in the .proto.
  std::string later_header = {};
  std::string later_record = {};
};

// Weak: a test links a program of a later format from the same code.
StateDialect DialectOfThisProgram();

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_STATE_DIALECT_H_
