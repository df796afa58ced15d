#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_PROCESS_ID_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_PROCESS_ID_H_

#include <sys/types.h>

namespace fifobus {

// getpid(2), but without its system call, so that each call of a client can ask
// whether fork(2) has made another process of this one. The number is kept in a
// page that the kernel wipes in each child: madvise(2), MADV_WIPEONFORK.
// Thread-safe.
pid_t ProcessId();

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_PROCESS_ID_H_
