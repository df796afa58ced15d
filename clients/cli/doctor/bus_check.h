#ifndef FIFOBUS_CLIENTS_CLI_DOCTOR_BUS_CHECK_H_
#define FIFOBUS_CLIENTS_CLI_DOCTOR_BUS_CHECK_H_

#include <sys/stat.h>

#include <string>
#include <vector>

#include "clients/cli/doctor/finding.h"
#include "clients/cli/doctor/machine_check.h"

// Whether a bus's directory is as a broker wants it. Nothing is changed.
namespace fifobus::cli {

// The files below a bus's directory at one moment. Thread-compatible.
struct BusFiles {
  struct File {
    std::string path;  // the whole of it
    struct stat status = {};
  };
  std::string dir;
  bool exists = false;
  bool runs = false;        // a broker
  struct stat status = {};  // of the directory
  std::vector<File> files;
  // Files that nobody looked at: there were too many, or this user may not.
  bool complete = true;
};
// Looks at 100,000 files at most.
BusFiles LookAtBus(const std::string& dir);

Finding CheckFileSystem(const std::string& dir);
// Owner and mode of the directory itself.
Finding CheckDirectory(const BusFiles& bus);
// Owners and modes of what is in it.
Finding CheckFiles(const Machine& machine, const BusFiles& bus);
Finding CheckProtectedFifos(const Machine& machine, const BusFiles& bus);
Finding CheckLeftovers(const Machine& machine, const BusFiles& bus);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_DOCTOR_BUS_CHECK_H_
