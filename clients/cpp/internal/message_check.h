#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_MESSAGE_CHECK_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_MESSAGE_CHECK_H_

#include <string_view>

#include "absl/status/status.h"
#include "proto/frame_writer.h"

// What a broker would end the session for, found before it is sent, so that it
// costs the caller an error and not the session. Thread-safe (no state).
namespace fifobus {

// OK if one may publish on `topic`.
absl::Status CheckPublishTopic(std::string_view topic);

// OK if `name`, that of a `kind`, is one level of a topic.
absl::Status CheckLevelName(std::string_view kind, std::string_view name);

// A confirm_level that is not 0.
absl::Status CheckConfirmLevel(const MessageFields& message);

// Reply topic, content type, header names.
absl::Status CheckMetadata(const MessageFields& message);

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_MESSAGE_CHECK_H_
