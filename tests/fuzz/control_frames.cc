// Each control frame, with any fields, through a session: no other session's
// deliveries change, and the core is left as it was.

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/core_bus.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// A number below 16384, as protobuf writes it.
std::string Varint(size_t number) {
  std::string bytes(1, static_cast<char>(number & 127));
  if (number < 128) return bytes;
  bytes[0] = static_cast<char>(bytes[0] | 128);
  return bytes + static_cast<char>(number >> 7);
}

// A frame of one member, whose bytes are the input's.
std::string FrameOf(size_t number, std::string_view member) {
  std::string body = Varint(number << 3 | 2) + Varint(member.size());
  body += member;
  const std::string prefix = {0, 0, static_cast<char>(body.size() >> 8),
                              static_cast<char>(body.size())};
  return prefix + body;
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  StartLog(LogLevel::kOff);
  Input input(data, size);
  CoreBus bus;
  HonestPair honest(bus, SeedOf(data, size));
  {
    const uint8_t beginning = input.Byte();
    CoreSession session(bus, beginning < 16 ? beginning * 256 : SIZE_MAX);
    if ((beginning & 1) == 0) session.Greet();
    while (!input.empty()) {
      const size_t number = input.Byte() % 32;
      session.Write(FrameOf(number, input.Text()));
      honest.Publish();
    }
    session.End();
    honest.Publish();
  }
  bus.host.Advance(absl::Hours(48));
  honest.Publish();
  Require(honest.IsServed(), "the honest are served");
  bus.groups.EndAll();
  return 0;
}
