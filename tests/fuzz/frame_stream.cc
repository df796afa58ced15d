// The same bytes from a client mean the same, however they are cut: a
// subscriber gets the same messages, and the client the same answers.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tests/fuzz/core_bus.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// What others get of a client, and what it is answered. The broker's own
// messages have times and are left out, as are gaps, which may be merged.
struct Effect {
  std::string messages;
  std::string answers;
  bool closed = false;

  bool operator==(const Effect&) const = default;
};

void Gather(const std::string& written, Effect& effect, bool is_subscriber) {
  const SplitFrames split = Split(written);
  Require(split.rest.empty(), "whatever is written is whole frames");
  for (const std::string& frame : split.frames) {
    const FrameView view = ReadWholeFrame(frame);
    Require(view.fault == FrameFault::kNone, "and has no fault");
    if (view.kind == FrameKind::kMessage) {
      const MessageView message = ReadMessage(view.member);
      Require(message.fault == FrameFault::kNone, "nor have its messages");
      if (is_subscriber && !message.topic.starts_with('$')) {
        effect.messages += frame;
      }
    } else if (view.kind != FrameKind::kDelivery &&
               view.kind != FrameKind::kGap && !is_subscriber) {
      effect.answers += frame;
    }
  }
}

// `pieces` says how long each piece is, over and over; empty: one piece.
Effect EffectOf(std::string_view bytes, std::string_view pieces) {
  CoreBus bus;
  Effect effect;
  {
    CoreSession subscriber(bus);
    subscriber.Greet();
    subscriber.Subscribe("**");
    CoreSession session(bus);
    session.Greet();
    for (size_t i = 0; !bytes.empty(); ++i) {
      const size_t piece =
          pieces.empty() ? bytes.size()
                         : 1 + static_cast<uint8_t>(pieces[i % pieces.size()]);
      session.Write(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    effect.closed = session.closed();
    session.End();
    Gather(session.written(), effect, /*is_subscriber=*/false);
    Gather(subscriber.written(), effect, /*is_subscriber=*/true);
  }
  bus.groups.EndAll();
  return effect;
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  StartLog(LogLevel::kOff);
  Input input(data, size);
  const std::string_view pieces = input.Take(input.Byte() % 8);
  const std::string_view bytes = input.Rest();
  Require(EffectOf(bytes, "") == EffectOf(bytes, pieces),
          "pieces change nothing");
  return 0;
}
