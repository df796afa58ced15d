#ifndef FIFOBUS_BROKER_IO_BUS_DIRECTORY_H_
#define FIFOBUS_BROKER_IO_BUS_DIRECTORY_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/io/fifo.h"

namespace fifobus {

// The directory that is the bus, while this broker owns it:
//
//   broker.lock  locked as long as this object lives, with the broker's pid;
//                never unlinked
//   alive        a FIFO whose only writer is this object
//   sessions/    the clients' pairs of FIFOs
//   topics/      taps and retained values
//
// Thread-safe once open: it never changes.
class BusDirectory {
 public:
  // Makes the directory and what is missing in it. Fails, with an error that
  // says what to do, if a broker runs on it already, if it belongs to another
  // user or is open to others, or if it lies on a file system whose FIFOs do
  // not connect processes.
  static absl::StatusOr<std::unique_ptr<BusDirectory>> Open(
      const std::string& path);

  // What keeps the directory this broker's: it goes over to the program that
  // this process becomes.
  struct Held {
    int lock_fd = -1;
    int alive_fd = -1;
  };
  Held held() const { return {lock_fd_.get(), alive_fd_.get()}; }
  // The same directory, with what a program before in this process has held.
  // Fails if that is not so any more.
  static absl::StatusOr<std::unique_ptr<BusDirectory>> TakeOver(
      const std::string& path, const Held& held);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  FifoTrust trust() const;

  // Makes a folder in the directory, unless it is there.
  absl::Status MakeFolder(std::string_view folder) const;

  // Removes a name below the directory. It may be gone already.
  absl::Status Unlink(const std::string& name) const;

 private:
  explicit BusDirectory(std::string path) : path_(std::move(path)) {}

  absl::Status MakeDirectory() const;
  absl::Status OpenDirectory();
  absl::Status Lock();
  absl::Status CheckLock() const;
  absl::Status RaiseAlive();

  const std::string path_;
  UniqueFd fd_;
  UniqueFd lock_fd_;
  UniqueFd alive_fd_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_BUS_DIRECTORY_H_
