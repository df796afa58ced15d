// Any bytes from a client, in any pieces: no other session's deliveries change.

#include <cstdint>
#include <string_view>

#include "tests/fuzz/core_bus.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  StartLog(LogLevel::kOff);
  Input input(data, size);
  CoreBus bus;
  HonestPair honest(bus, SeedOf(data, size));
  {
    const size_t piece = 1 + input.Number(1000);
    const size_t room = input.Number(65535);
    CoreSession session(bus, room == 0 ? SIZE_MAX : room);
    while (!input.empty()) {
      session.Write(input.Take(piece));
      honest.Publish();
    }
    session.End();
  }
  bus.host.Advance(absl::Hours(48));
  honest.Publish();
  Require(honest.IsServed(), "the honest are served");
  bus.groups.EndAll();
  return 0;
}
