#ifndef FIFOBUS_BROKER_CORE_LOGS_OFFSET_SET_H_
#define FIFOBUS_BROKER_CORE_LOGS_OFFSET_SET_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "broker/state/reader_state.pb.h"

namespace fifobus {

// Offsets of a log, as ranges: neighbours take no more room than one.
//
// Thread-compatible.
class OffsetSet {
 public:
  void Add(uint64_t first, uint64_t last);
  bool Contains(uint64_t offset) const;

  // Removes all that are not above the offset.
  void RemoveUpTo(uint64_t offset);
  // If the first range begins with the offset, removes it and returns its last.
  std::optional<uint64_t> TakeFrom(uint64_t first);

  bool empty() const { return ranges_.empty(); }
  size_t ranges() const { return ranges_.size(); }
  uint64_t count() const { return count_; }

  // Calls visit(first, last) for the ranges, in order.
  template <typename Visitor>
  void ForEach(const Visitor& visit) const {
    for (const auto& [first, last] : ranges_) visit(first, last);
  }

  google::protobuf::RepeatedPtrField<pb::state::OffsetRange> Export() const;
  static OffsetSet Restore(
      const google::protobuf::RepeatedPtrField<pb::state::OffsetRange>& state);

  bool operator==(const OffsetSet&) const = default;

 private:
  using Ranges = std::map<uint64_t, uint64_t>;  // last by first
  Ranges::iterator Erase(Ranges::iterator range);

  Ranges ranges_;
  uint64_t count_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_OFFSET_SET_H_
