#ifndef FIFOBUS_CLIENTS_CLI_DOCTOR_BROKER_CHECK_H_
#define FIFOBUS_CLIENTS_CLI_DOCTOR_BROKER_CHECK_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cli/bus_options.h"
#include "clients/cli/doctor/finding.h"
#include "clients/cli/doctor/machine_check.h"
#include "proto/frame.pb.h"

// Whether a running broker is well. Thread-safe (no state).
namespace fifobus::cli {

// Asks the broker, as one of its clients, and the kernel about its process.
Findings CheckBroker(const Machine& machine, const BusOptions& options,
                     uint32_t pid);

// The parts of it. `pid` 0: not known.
Finding CheckVersion(std::string_view broker_version, uint32_t pid);
Finding CheckBrokerPipes(const Machine& machine, const pb::StatsReply& stats);
Finding CheckBrokerDescriptors(const Machine& machine, uint32_t pid);
Finding CheckBrokerLogs(const pb::StatsReply& stats);

// The pid in a bus's lock; 0: there is none.
uint32_t BrokerPid(const std::string& dir);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_DOCTOR_BROKER_CHECK_H_
