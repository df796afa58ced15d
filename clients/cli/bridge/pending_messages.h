#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_PENDING_MESSAGES_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_PENDING_MESSAGES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace fifobus::bridge {

// Messages of a stream that were taken, and are not done, in its order.
// Thread-compatible.
class PendingMessages {
 public:
  struct Message {
    uint64_t sequence = 0;
    // Where it is acknowledged; empty: that comes when it is delivered again.
    std::string ack_subject;
    bool is_done = false;
  };

  size_t size() const { return messages_.size(); }

  // REQUIRES: `sequence` is higher than all before.
  void Add(uint64_t sequence, std::string ack_subject) {
    messages_.push_back({sequence, std::move(ack_subject)});
  }

  // Null: it is done, or was never here.
  Message* Find(uint64_t sequence) {
    const auto found = std::lower_bound(
        messages_.begin(), messages_.end(), sequence,
        [](const Message& each, uint64_t at) { return each.sequence < at; });
    return found != messages_.end() && found->sequence == sequence &&
                   !found->is_done
               ? &*found
               : nullptr;
  }

  // It may stay until those before it are done.
  void SetDone(Message& message) {
    message.is_done = true;
    while (!messages_.empty() && messages_.front().is_done) {
      messages_.pop_front();
    }
  }

  // Forgets this one and all behind it.
  void ForgetFrom(uint64_t sequence) {
    while (!messages_.empty() && messages_.back().sequence >= sequence) {
      messages_.pop_back();
    }
  }

 private:
  std::deque<Message> messages_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_PENDING_MESSAGES_H_
