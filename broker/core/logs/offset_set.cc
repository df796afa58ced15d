#include "broker/core/logs/offset_set.h"

#include <algorithm>
#include <iterator>

namespace fifobus {

void OffsetSet::Add(uint64_t first, uint64_t last) {
  auto range = ranges_.upper_bound(first);
  if (range != ranges_.begin()) {
    const auto before = std::prev(range);
    if (before->second + 1 >= first) range = before;
  }
  // All that touch it become one.
  while (range != ranges_.end() && range->first <= last + 1) {
    first = std::min(first, range->first);
    last = std::max(last, range->second);
    range = Erase(range);
  }
  ranges_.emplace_hint(range, first, last);
  count_ += last - first + 1;
}

bool OffsetSet::Contains(uint64_t offset) const {
  const auto after = ranges_.upper_bound(offset);
  return after != ranges_.begin() && std::prev(after)->second >= offset;
}

void OffsetSet::RemoveUpTo(uint64_t offset) {
  while (!ranges_.empty() && ranges_.begin()->first <= offset) {
    const uint64_t last = ranges_.begin()->second;
    Erase(ranges_.begin());
    if (last > offset) return Add(offset + 1, last);
  }
}

std::optional<uint64_t> OffsetSet::TakeFrom(uint64_t first) {
  if (ranges_.empty() || ranges_.begin()->first != first) return std::nullopt;
  const uint64_t last = ranges_.begin()->second;
  Erase(ranges_.begin());
  return last;
}

google::protobuf::RepeatedPtrField<pb::state::OffsetRange> OffsetSet::Export()
    const {
  google::protobuf::RepeatedPtrField<pb::state::OffsetRange> state;
  for (const auto& [first, last] : ranges_) {
    pb::state::OffsetRange& range = *state.Add();
    range.set_first(first);
    range.set_last(last);
  }
  return state;
}

OffsetSet OffsetSet::Restore(
    const google::protobuf::RepeatedPtrField<pb::state::OffsetRange>& state) {
  OffsetSet set;
  for (const pb::state::OffsetRange& range : state) {
    set.Add(range.first(), range.last());
  }
  return set;
}

OffsetSet::Ranges::iterator OffsetSet::Erase(Ranges::iterator range) {
  count_ -= range->second - range->first + 1;
  return ranges_.erase(range);
}

}  // namespace fifobus
