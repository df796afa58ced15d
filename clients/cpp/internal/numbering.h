#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_NUMBERING_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_NUMBERING_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "clients/cpp/received.h"

namespace fifobus {

// The sequence numbers of a named publisher. They rise, from behind all that a
// log remembers of the name, so that no message is taken for an earlier one.
// One that the program has chosen itself counts too. Thread-compatible.
class Numbering {
 public:
  enum class Publisher { kUnnamed, kNamed };
  explicit Numbering(Publisher publisher)
      : is_named_(publisher == Publisher::kNamed) {}

  bool is_named() const { return is_named_; }
  uint64_t last() const { return last_; }
  uint64_t Next() const { return last_ + 1; }

  void OnSent(uint64_t sequence) { last_ = std::max(last_, sequence); }
  // A session has begun.
  void OnMarks(const std::vector<StoredMark>& marks) {
    for (const StoredMark& mark : marks) OnSent(mark.last_sequence);
  }

 private:
  bool is_named_;
  uint64_t last_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_NUMBERING_H_
