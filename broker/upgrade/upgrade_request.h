#ifndef FIFOBUS_BROKER_UPGRADE_UPGRADE_REQUEST_H_
#define FIFOBUS_BROKER_UPGRADE_UPGRADE_REQUEST_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// How `fifobus upgrade` and a broker talk, through two files of the bus
// directory. The request is written before SIGUSR2 is sent, and taken by the
// broker; the answer is written by the broker that serves afterwards, which may
// be the new one. Only the bus's owner can write there.
//
//   upgrade         ID, a line; the program's path, a line
//   upgrade-answer  ID, a line; "done" or "failed", a line; a text, a line
namespace fifobus {

struct UpgradeRequest {
  std::string id;       // empty: nobody waits for an answer
  std::string program;  // empty: the one that the broker was started from
};

struct UpgradeAnswer {
  bool done = false;
  std::string text;
};

// For the one that asks.
absl::Status WriteUpgradeRequest(const std::string& dir,
                                 const UpgradeRequest& request);
// Nothing: the request has no answer yet.
std::optional<UpgradeAnswer> ReadUpgradeAnswer(const std::string& dir,
                                               const std::string& id);

// For the broker. Takes what was asked for; without a request an empty one.
// Fails if the file may have been written by somebody else.
absl::StatusOr<UpgradeRequest> TakeUpgradeRequest(const std::string& dir);
absl::Status WriteUpgradeAnswer(const std::string& dir, const std::string& id,
                                const UpgradeAnswer& answer);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_UPGRADE_REQUEST_H_
