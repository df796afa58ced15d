#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_HELLO_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_HELLO_H_

#include "absl/status/status.h"
#include "clients/cpp/client_options.h"
#include "proto/frame.pb.h"

// What a client says of itself first. Thread-safe (no state).
namespace fifobus {

// InvalidArgument: the will, the publisher's name, or options that do not go
// together.
absl::Status CheckOptions(const ClientOptions& options);

// Without version and pid. REQUIRES: CheckOptions is OK.
pb::Hello HelloOf(const ClientOptions& options);

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_HELLO_H_
