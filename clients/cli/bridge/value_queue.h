#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_VALUE_QUEUE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_VALUE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "clients/cli/bridge/nats_message.h"

namespace fifobus::bridge {

// Values on their way into a stream that keeps the last one of each subject. Of a
// subject only the newest value waits, so that an outage costs no more memory
// than there are values. It decides what is sent, and sends nothing itself.
//
// Each value has a version, which rises. A value that is replaced while it is on
// its way still counts for the window until it is answered.
//
//   size() = values that are not known to be in the stream
//
// Thread-compatible.
class ValueQueue {
 public:
  // So many are on their way at once.
  explicit ValueQueue(size_t window) : window_(window) {}

  // Takes the place of an older value of the subject.
  void Put(NatsMessage value);
  void Clear();

  // The next value to send, and its version; nothing: none now.
  std::optional<std::pair<uint64_t, NatsMessage>> NextToSend();
  // The stream has it. Of an older value of a subject nothing changes but that
  // the window has room.
  void OnStored(uint64_t version);
  // Takes a value out that the stream will never take; nothing: a newer one has
  // its place.
  std::optional<NatsMessage> TakeRefused(uint64_t version);
  // What was sent is not known to have arrived: it is sent again.
  void BeginRound();

  size_t size() const { return values_.size(); }
  size_t bytes() const { return bytes_; }
  size_t in_flight() const { return flying_.size(); }

 private:
  void Erase(uint64_t version);

  const size_t window_;
  std::map<uint64_t, NatsMessage> values_;  // by version
  std::map<std::string, uint64_t, std::less<>> newest_;
  std::set<uint64_t> flying_;
  size_t bytes_ = 0;
  uint64_t last_version_ = 0;
  uint64_t sent_version_ = 0;  // in this round all up to here are sent
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_VALUE_QUEUE_H_
