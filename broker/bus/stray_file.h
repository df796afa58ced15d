#ifndef FIFOBUS_BROKER_BUS_STRAY_FILE_H_
#define FIFOBUS_BROKER_BUS_STRAY_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/io/bus_directory.h"
#include "broker/state/broker_state.pb.h"

namespace fifobus {

// A regular file in the place of a topic's `.in`: a shell has made it, because
// the FIFO was missing (`echo line > T.in`), or it was moved there. It is moved
// aside, and its lines are written to the FIFO that takes its place, as was
// meant. From there they go the way of all lines.
//
// The file is followed as long as any process has it open for writing: a shell
// makes it first and writes the line afterwards.
//
// Worker-affine.
class StrayFile {
 public:
  // Moves the file at topics/`path` aside. `line_bytes_max` is that of taps.
  static absl::StatusOr<std::unique_ptr<StrayFile>> MoveAside(
      const BusDirectory& bus, const std::string& path, size_t line_bytes_max);

  // For an upgrade: the file goes over as it is.
  pb::state::StrayFile Export() const;
  static std::unique_ptr<StrayFile> Restore(const BusDirectory& bus,
                                            const pb::state::StrayFile& state,
                                            size_t line_bytes_max);

  enum class Progress {
    kMoved,  // lines were moved, and there may be more
    kWaits,  // for the FIFO, for room in it, or for the writer of the file
    kDone,
  };
  // Moves some lines to the FIFO, without waiting.
  [[nodiscard]] Progress MoveLines();

  // The topic's `.in`, and the file's new name, below topics/.
  const std::string& path() const { return path_; }
  const std::string& aside() const { return aside_; }
  uint64_t lines() const { return lines_; }
  // Lines that are longer than a tap takes. They are in the file only.
  uint64_t lines_refused() const { return lines_refused_; }

 private:
  enum class Filled { kBytes, kNothing, kEnd };

  StrayFile(const BusDirectory& bus, std::string path, std::string aside,
            UniqueFd fd, size_t line_bytes_max);

  [[nodiscard]] Filled Fill();
  // Whole lines that one write takes, or one line that is too long; empty: no
  // line ends in what is pending.
  std::string_view NextLines() const;
  bool IsBeingWritten();

  const BusDirectory& bus_;
  const std::string path_;
  const std::string aside_;
  const UniqueFd fd_;
  const size_t line_bytes_max_;
  // Bytes that were read of the file, of which `moved_` are dealt with.
  std::string pending_;
  size_t moved_ = 0;
  bool at_end_ = false;    // and the file will not grow any more
  bool skipping_ = false;  // the rest of a line that is too long
  uint64_t lines_ = 0;
  uint64_t lines_refused_ = 0;
  // Where the kernel does not tell whether somebody writes.
  absl::Duration grown_at_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_STRAY_FILE_H_
