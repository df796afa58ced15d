#ifndef FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_

namespace fifobus {

// Told that an egress which had to turn something away takes more now.
// Worker-affine: on the thread of the egress's worker.
class RoomListener {
 public:
  virtual ~RoomListener() = default;
  // Called without a lock.
  virtual void OnRoom() = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_
