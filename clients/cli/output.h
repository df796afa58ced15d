#ifndef FIFOBUS_CLIENTS_CLI_OUTPUT_H_
#define FIFOBUS_CLIENTS_CLI_OUTPUT_H_

#include <poll.h>

#include <cstddef>
#include <string>

#include "clients/cli/exit.h"

namespace fifobus::cli {

// Standard output, written whenever no message is waiting, so that nobody waits
// for a line and a stream of small messages costs few system calls.
// Thread-compatible.
class Output {
 public:
  enum class Outcome { kWritten, kReaderGone, kFailed };

  // What is to be written, to be appended to.
  std::string& text() { return text_; }
  bool full() const { return text_.size() >= kBytesMax; }

  // kReaderGone, kFailed: the command is to end, see ExitOf.
  [[nodiscard]] Outcome Flush();

 private:
  static constexpr size_t kBytesMax = size_t{64} << 10;

  std::string text_;
};

// How a command ends: `otherwise` if all was written, quietly if nobody reads
// on, with an error line if it failed.
Exit ExitOf(Output::Outcome outcome, Exit otherwise);

// For commands that write little, or whose children write. The caller polls
// this descriptor: it has revents once standard output has no reader any more.
pollfd StandardOutputWatch();
bool StandardOutputIsUnread();

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_OUTPUT_H_
