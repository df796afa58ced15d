#ifndef FIFOBUS_BROKER_CORE_LOGS_PUBLISHER_TABLE_H_
#define FIFOBUS_BROKER_CORE_LOGS_PUBLISHER_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/logs/log_format.h"

namespace fifobus {

// The last sequence of each named publisher. A publisher's sequences rise
// within a log, so what is not above its last one is a repeat. It outlives the
// segments in which the messages were: each segment begins with the table.
//
// Thread-compatible.
class PublisherTable {
 public:
  struct Mark {
    uint64_t last_sequence = 0;
    uint64_t last_offset = 0;
  };

  std::optional<Mark> Find(std::string_view name) const {
    const auto found = marks_.find(name);
    if (found == marks_.end()) return std::nullopt;
    return found->second;
  }

  void Set(std::string_view name, const Mark& mark) {
    const auto found = marks_.find(name);
    if (found != marks_.end()) {
      found->second = mark;
    } else {
      marks_.emplace(name, mark);
    }
  }

  // Takes in a batch that is in the log; one without a publisher changes
  // nothing.
  void Note(const BatchHeader& header) {
    if (header.publisher.empty() || header.count == 0) return;
    Set(header.publisher, {header.last_sequence, header.end_offset() - 1});
  }

  size_t size() const { return marks_.size(); }

  std::vector<PublisherMark> marks() const {
    std::vector<PublisherMark> marks;
    for (const auto& [name, mark] : marks_) {
      marks.push_back({name, mark.last_sequence, mark.last_offset});
    }
    return marks;
  }

 private:
  std::map<std::string, Mark, std::less<>> marks_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_PUBLISHER_TABLE_H_
