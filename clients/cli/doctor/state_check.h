#ifndef FIFOBUS_CLIENTS_CLI_DOCTOR_STATE_CHECK_H_
#define FIFOBUS_CLIENTS_CLI_DOCTOR_STATE_CHECK_H_

#include <string>

#include "clients/cli/doctor/finding.h"
#include "clients/cli/doctor/machine_check.h"

namespace fifobus::cli {

// Whether logs can be kept in the state directory, and whether those that are
// there can be read and agree with the clock. Nothing is changed. Thread-safe
// (no state).
Findings CheckState(const Machine& machine, const std::string& state_dir);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_DOCTOR_STATE_CHECK_H_
