#ifndef FIFOBUS_PROTO_MESSAGE_TEXT_H_
#define FIFOBUS_PROTO_MESSAGE_TEXT_H_

#include <cstdint>
#include <string>

#include "proto/frame.h"

// A message as people and shells read it: what the taps show and what
// `fifobus sub` prints. Thread-safe (no state).
namespace fifobus {

// Appends the payload as it is and a newline.
void AppendPlainText(const MessageView& message, std::string& out);

// Appends a time as in JSON, "2026-11-23T20:15:00.123456789Z"; nothing for 0.
void AppendTimeText(uint64_t unix_nanos, std::string& out);

// Appends one JSON object and a newline:
//   {"topic":"a/b","payload":"Hello","sequence":1,
//    "time":"2026-11-23T20:15:00.123456789Z","headers":{"k":"v"}}
// A payload that is not UTF-8 is given as "payload_base64" instead, a header
// value likewise as {"base64":"..."}. Absent fields are left out; the others
// are "reply_topic", "content_type" and "expiry", and what the broker says
// about this delivery: "retained", "ack_id", "delivery_count", and the "offset"
// and "stored_time" of a message that was read out of a log. Headers of one
// name are one list, {"k":["v","w"]}.
void AppendJsonLine(const MessageView& message, const DeliveryView& delivery,
                    std::string& out);

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_MESSAGE_TEXT_H_
