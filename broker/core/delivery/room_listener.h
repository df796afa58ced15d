#ifndef FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_

namespace fifobus {

// Told that an egress which had to turn something away takes more now.
class RoomListener {
 public:
  virtual ~RoomListener() = default;
  // On the thread of the egress's worker, which holds no lock.
  virtual void OnRoom() = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_ROOM_LISTENER_H_
