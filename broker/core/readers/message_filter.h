#ifndef FIFOBUS_BROKER_CORE_READERS_MESSAGE_FILTER_H_
#define FIFOBUS_BROKER_CORE_READERS_MESSAGE_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fifobus {

// One message as it lies in a log: its Delivery, and its frame behind that.
struct StoredUnit {
  std::string_view bytes;  // both
  std::string_view topic;
};

// The unit at the front. REQUIRES: `bytes` are what a log has stored.
StoredUnit FirstStoredUnit(std::string_view bytes);

// The offset in the Delivery at the front.
uint64_t StoredOffset(std::string_view bytes);

// Tells which messages of a log a pattern matches. Neighbours mostly have one
// topic, which costs a comparison.
//
// Thread-compatible.
class MessageFilter {
 public:
  // Empty: all match.
  explicit MessageFilter(std::string pattern) : pattern_(std::move(pattern)) {}

  bool matches_all() const { return pattern_.empty(); }
  bool Matches(std::string_view topic) {
    if (matches_all()) return true;
    if (topic != topic_) Look(topic);
    return matches_;
  }

 private:
  void Look(std::string_view topic);

  const std::string pattern_;
  std::string topic_;  // the last one
  bool matches_ = false;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_READERS_MESSAGE_FILTER_H_
