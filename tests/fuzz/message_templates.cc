// Templates of `fifobus sub --format`: any template over any message. What a
// template says in plain letters appears as it is.

#include <cstdint>
#include <string>
#include <string_view>

#include "clients/cli/sub/message_format.h"
#include "proto/frame.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  Input input(data, size);
  const std::string_view text = input.Text();
  const std::string_view frame = input.Rest();
  const auto format = cli::MessageFormat::Parse(text);
  const bool is_plain = text.find_first_of("{}\\") == std::string_view::npos;
  Require(format.ok() || !is_plain, "a plain text is a template");
  if (!format.ok() || frame.size() < kFramePrefixBytes) return 0;
  const MessageView message = ReadMessageFrame(frame);
  if (message.fault != FrameFault::kNone) return 0;
  std::string out;
  format->Append(message, DeliveryView(), out);
  Require(!is_plain || out == text, "a plain text stays as it is");
  return 0;
}
