#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_TAKEN_BACK_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_TAKEN_BACK_H_

#include <cstdint>
#include <set>
#include <string>

#include "clients/cpp/internal/send_buffer.h"

namespace fifobus {

// The messages that a broker had not read when it died, between its session and
// the next one, which begins with them. Thread-compatible.
class TakenBack {
 public:
  // A session is over. REQUIRES: what the one before left was sent.
  void Take(Remains remains);
  // The next one has them now, and `messages` were sent again in all.
  void OnSent(uint64_t messages);
  void Clear() { *this = TakenBack(); }

  const std::string& frames() const { return frames_; }
  uint64_t messages() const { return messages_; }
  // The confirm_ids among what the last session left. They stay when it is sent.
  const std::set<uint64_t>& confirm_ids() const { return confirm_ids_; }

  // Over all sessions.
  uint64_t resent_messages() const { return resent_messages_; }
  uint64_t lost_messages() const { return lost_messages_; }

 private:
  std::string frames_;
  uint64_t messages_ = 0;  // in frames_
  std::set<uint64_t> confirm_ids_;
  uint64_t resent_messages_ = 0;
  uint64_t lost_messages_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_TAKEN_BACK_H_
