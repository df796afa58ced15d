#ifndef FIFOBUS_CLIENTS_CLI_SUB_MESSAGE_FORMAT_H_
#define FIFOBUS_CLIENTS_CLI_SUB_MESSAGE_FORMAT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/frame.h"

namespace fifobus::cli {

// A template for messages, such as "{topic} {header:unit}: {payload}\n".
//
// Fields in braces: topic, payload, sequence, time, reply_topic, content_type,
// expiry, header:NAME (the last of that name), size (of the payload, in bytes),
// retained (true or false), delivery_count, offset and stored_time (of a
// message out of a log), json (the whole as one object).
// What a message does not have is empty, a number 0. {{ is a brace; so is a }
// that closes nothing. \n, \t, \r, \0 and \\ are as in C. Thread-compatible.
class MessageFormat {
 public:
  // InvalidArgument: names the place.
  static absl::StatusOr<MessageFormat> Parse(std::string_view text);

  // Nothing is added that the template does not say, not even a newline.
  void Append(const MessageView& message, const DeliveryView& delivery,
              std::string& out) const;

 private:
  enum class Field {
    kText,
    kTopic,
    kPayload,
    kSequence,
    kTime,
    kReplyTopic,
    kContentType,
    kExpiry,
    kHeader,
    kSize,
    kRetained,
    kDeliveryCount,
    kOffset,
    kStoredTime,
    kJson,
  };
  struct Piece {
    Field field = Field::kText;
    std::string text;  // of kText; the name of kHeader
  };

  static absl::StatusOr<Piece> ParseField(std::string_view name);
  void AddText(char c);
  static void AppendPiece(const Piece& piece, const MessageView& message,
                          const DeliveryView& delivery, std::string& out);

  std::vector<Piece> pieces_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_SUB_MESSAGE_FORMAT_H_
