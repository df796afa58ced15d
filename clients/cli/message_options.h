#ifndef FIFOBUS_CLIENTS_CLI_MESSAGE_OPTIONS_H_
#define FIFOBUS_CLIENTS_CLI_MESSAGE_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cli/command.h"
#include "clients/cpp/owned_message.h"
#include "proto/frame_writer.h"

// Options of commands about the messages that they publish. Both structs must
// live as long as the parser.
namespace fifobus::cli {

// Everything of standard input, or its next bytes; 0: the end.
absl::StatusOr<std::string> ReadAllInput();
absl::StatusOr<size_t> ReadInput(char* buffer, size_t size);

// --header, --content-type, --expire.
struct MessageOptions {
  std::vector<OwnedMessage::Header> headers;
  std::string content_type;
  absl::Duration expire = absl::InfiniteDuration();

  void AddTo(Command& command);
  // The views of `header_views` and of this must outlive `message`.
  void Fill(MessageFields& message,
            std::vector<HeaderView>& header_views) const;
};

// --will-topic, --will-payload, --will-retain.
struct WillOptions {
  OwnedMessage message;

  void AddTo(Command& command);
  std::optional<OwnedMessage> will() const;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_MESSAGE_OPTIONS_H_
