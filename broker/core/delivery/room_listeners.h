#ifndef FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENERS_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENERS_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "broker/base/thread_rule.h"
#include "broker/core/delivery/room_listener.h"

namespace fifobus {

// Passes an egress's word of room on to several listeners, each time beginning
// with the next one: the first takes what there is.
//
// Worker-affine, asserted.
class RoomListeners : public RoomListener {
 public:
  // The listener must live until Remove. Adding one twice changes nothing.
  void Add(RoomListener& listener) {
    thread_rule_.Check();
    if (!Contains(&listener)) listeners_.push_back(&listener);
  }
  // Also while the listeners are told.
  void Remove(RoomListener& listener) {
    thread_rule_.Check();
    std::erase(listeners_, &listener);
  }

  void OnRoom() override {
    thread_rule_.Check();
    if (listeners_.empty()) return;
    first_ = (first_ + 1) % listeners_.size();
    std::vector<RoomListener*> turn = listeners_;
    std::rotate(turn.begin(), turn.begin() + static_cast<ptrdiff_t>(first_),
                turn.end());
    for (RoomListener* const listener : turn) {
      if (Contains(listener)) listener->OnRoom();
    }
  }

 private:
  bool Contains(const RoomListener* listener) const {
    return std::find(listeners_.begin(), listeners_.end(), listener) !=
           listeners_.end();
  }

  const ThreadRule thread_rule_{};  // or clang makes no constructor
  std::vector<RoomListener*> listeners_;
  size_t first_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENERS_H_
