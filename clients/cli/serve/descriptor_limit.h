#ifndef FIFOBUS_CLIENTS_CLI_SERVE_DESCRIPTOR_LIMIT_H_
#define FIFOBUS_CLIENTS_CLI_SERVE_DESCRIPTOR_LIMIT_H_

#include <cstddef>

namespace fifobus::cli {

// Lets this process have as many descriptors as it may, and returns how many
// those are. Each session takes two; the usual soft limit of 1024 is for
// programs that use select(2).
size_t RaiseDescriptorLimit();

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SERVE_DESCRIPTOR_LIMIT_H_
