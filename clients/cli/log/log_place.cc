#include "clients/cli/log/log_place.h"

#include <algorithm>
#include <optional>

#include "fmt/format.h"

namespace fifobus::cli {

absl::StatusOr<uint64_t> FindPlace(const LogFiles& files,
                                   const pb::Start& place) {
  switch (place.at_case()) {
    case pb::Start::kOffset:
      if (place.offset() > files.next_offset) {
        return absl::OutOfRangeError(
            fmt::format("offset {} is behind the end of the log; the next one "
                        "is {}",
                        place.offset(), files.next_offset));
      }
      return std::max(place.offset(), files.first_offset);
    case pb::Start::kLast:
      return files.next_offset -
             std::min(place.last(), files.next_offset - files.first_offset);
    case pb::Start::kTimeUnixNanos: {
      const std::optional<uint64_t> offset =
          FindTime(files.view, place.time_unix_nanos());
      if (!offset) return absl::DataLossError("the disk could not be read");
      return *offset;
    }
    case pb::Start::kNext:
      return files.next_offset;
    default:
      return files.first_offset;
  }
}

}  // namespace fifobus::cli
