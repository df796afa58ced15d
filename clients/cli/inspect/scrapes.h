#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_SCRAPES_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_SCRAPES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/exposer.h"

namespace fifobus::cli {

// Answers HTTP on "HOST:PORT", path /metrics, with threads of its own, as long as
// the exposer lives. What it tells is registered with it. Connections that send
// no request delay no other. Unavailable: the address cannot be listened on.
absl::StatusOr<std::unique_ptr<prometheus::Exposer>> ListenForScrapes(
    const std::string& address);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_SCRAPES_H_
