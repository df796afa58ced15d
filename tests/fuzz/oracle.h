#ifndef FIFOBUS_TESTS_FUZZ_ORACLE_H_
#define FIFOBUS_TESTS_FUZZ_ORACLE_H_

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace fifobus::fuzz {

// Ends the process, as a sanitizer does, if a claim does not hold.
inline void Require(bool holds, std::string_view claim) {
  if (holds) return;
  fprintf(stderr, "broken: %.*s\n", static_cast<int>(claim.size()),
          claim.data());
  abort();
}

}  // namespace fifobus::fuzz

#endif  // FIFOBUS_TESTS_FUZZ_ORACLE_H_
