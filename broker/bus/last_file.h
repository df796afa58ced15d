#ifndef FIFOBUS_BROKER_BUS_LAST_FILE_H_
#define FIFOBUS_BROKER_BUS_LAST_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// A topic's `T.last`: an ordinary file with nothing but the bytes of the
// retained message's payload, for cat(1) and editors. What else belongs to the
// message, a pb::Message without topic and payload, is an attribute of the file
// (user.fifobus.message, xattr(7)) where the file system has such, and its
// publish time is also the file's modification time.
//
// Paths are relative to the bus directory, and no symbolic link is followed
// below it. Nothing is synced: this survives the broker, not the machine.
// Thread-safe (no state).
namespace fifobus {

// Puts the file in place of what is there at once, so that a reader sees the
// old or the new, whole. `frame` is a whole Message frame, which was checked.
// Makes missing folders.
absl::Status WriteLastFile(int bus_fd, std::string_view frame);

// Removes it; it may be gone.
absl::Status RemoveLastFile(int bus_fd, std::string_view topic);

// The file's message as a frame, with `retain`. Fails if the file is not a
// regular file of this user, or if the frame would have more than
// `frame_bytes_max`. REQUIRES: the topic is valid.
absl::StatusOr<std::string> ReadLastFile(int bus_fd, std::string_view topic,
                                         size_t frame_bytes_max);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_LAST_FILE_H_
