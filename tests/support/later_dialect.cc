// Linked into a fifobus, this makes it a program of a later format.
#include <cstdlib>

#include "broker/upgrade/state_dialect.h"

namespace fifobus {

StateDialect DialectOfThisProgram() {
  StateDialect dialect;
  dialect.format = 2;
  // $FIFOBUS_TEST_NEEDS: what it writes is not for programs below.
  const char* const needs = std::getenv("FIFOBUS_TEST_NEEDS");
  if (needs != nullptr) dialect.needs = static_cast<uint32_t>(atoi(needs));
  // Field 900, a number: 5. And a record of a kind that is numbered 901.
  dialect.later_header = std::string("\xa0\x38\x05", 3);
  dialect.later_record = std::string("\xaa\x38\x03new", 6);
  return dialect;
}

}  // namespace fifobus
