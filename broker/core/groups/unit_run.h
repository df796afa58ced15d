#ifndef FIFOBUS_BROKER_CORE_GROUPS_UNIT_RUN_H_
#define FIFOBUS_BROKER_CORE_GROUPS_UNIT_RUN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "broker/core/delivery/egress.h"
#include "broker/core/groups/dealt_runs.h"
#include "broker/seam/sink.h"

namespace fifobus {

// Units to be written together to a member of a group; neighbours become one
// slice. Views live as long as what was added. Thread-compatible.
class UnitRun {
 public:
  // A message or a gap of `bytes`.
  void Add(std::string_view bytes, bool is_message) {
    if (slices_.empty() ||
        slices_.back().bytes + slices_.back().size != bytes.data()) {
      slices_.push_back({bytes.data(), 0, 0, /*messages=*/0});
    }
    slices_.back().size += bytes.size();
    slices_.back().messages += is_message ? 1 : 0;
    bytes_ += bytes.size();
    if (sizes_.empty() || sizes_.back().size != bytes.size() ||
        sizes_.back().are_messages != is_message) {
      sizes_.push_back({bytes.size(), 0, is_message});
    }
    ++sizes_.back().units;
  }
  absl::Span<const Slice> slices() const { return slices_; }
  size_t bytes() const { return bytes_; }

  // Notes the messages of which the member has taken all, in their places in
  // its stream.
  void NoteTaken(const Egress::RoomResult& taken, DealtRuns& dealt) const {
    const uint64_t end = taken.stream_end;
    uint64_t at = end - taken.bytes_taken;
    for (const Sizes& each : sizes_) {
      const uint64_t units =
          std::min<uint64_t>(each.units, (end - at) / each.size);
      at += units * each.size;
      if (each.are_messages && units > 0) dealt.Add(at, each.size, units);
    }
  }

 private:
  // Neighbours of one size.
  struct Sizes {
    size_t size;
    uint64_t units;
    bool are_messages;  // and not gaps of the group's own queue
  };

  absl::InlinedVector<Slice, 16> slices_;
  absl::InlinedVector<Sizes, 4> sizes_;
  size_t bytes_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_GROUPS_UNIT_RUN_H_
