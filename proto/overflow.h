#ifndef FIFOBUS_PROTO_OVERFLOW_H_
#define FIFOBUS_PROTO_OVERFLOW_H_

#include <array>
#include <optional>
#include <string_view>
#include <utility>

// What becomes of a subscriber's messages once it is stalled: the policies,
// their numbers in frames and their names for people. Thread-safe (no state).
namespace fifobus {

// Declared here because frame.pb.h takes long to compile, and most users of
// this header only name a policy.
namespace pb {
enum Overflow : int;
}  // namespace pb

enum class Overflow {
  kDropOldest,
  kDropNewest,
  kLatest,      // of each topic the newest stays
  kDisconnect,  // the subscriber is told so, and ended
  kBlock,       // never stalled: publishers wait
};

// Every policy with its name on the command line, in configurations and in
// JSON.
inline constexpr std::array<std::pair<std::string_view, Overflow>, 5>
    kOverflowNames = {{{"drop-oldest", Overflow::kDropOldest},
                       {"drop-newest", Overflow::kDropNewest},
                       {"latest", Overflow::kLatest},
                       {"disconnect", Overflow::kDisconnect},
                       {"block", Overflow::kBlock}}};

std::string_view OverflowName(Overflow overflow);

// Nothing: no policy has this name.
std::optional<Overflow> OverflowNamed(std::string_view name);

pb::Overflow OverflowInFrame(Overflow overflow);

// OVERFLOW_UNSPECIFIED and values of later versions are kDropOldest.
Overflow OverflowOf(pb::Overflow overflow);

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_OVERFLOW_H_
