#include "clients/cpp/internal/one_caller.h"

#include <cstdio>
#include <cstdlib>

namespace fifobus {

void OneCaller::OnSecond() {
  (void)std::fputs(
      "fifobus: a second thread calls a client that is in a call; give each "
      "thread a client of its own, or take turns under a lock\n",
      stderr);
  std::abort();
}

}  // namespace fifobus
