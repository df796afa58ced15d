#include "broker/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace fifobus::internal_check {

void Fail(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "fifobus: %s:%d: check failed: %s\n", file, line,
               condition);
  std::abort();
}

}  // namespace fifobus::internal_check
