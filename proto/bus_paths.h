#ifndef FIFOBUS_PROTO_BUS_PATHS_H_
#define FIFOBUS_PROTO_BUS_PATHS_H_

#include <initializer_list>
#include <string>
#include <string_view>

// The names below a bus's directory: FRAMING.md and PROTOCOL.md have what each
// is for. Paths are relative to the directory.
//
//   broker.lock           the running broker's lock, with its pid
//   alive                 the FIFO that tells whether a broker lives
//   sessions/ID.up        a session's pipes
//   sessions/ID.down
//   topics/TOPIC.in       a tap to write lines to
//   topics/TOPIC.out/     the folder of the taps to read from
//   topics/TOPIC.last     the topic's retained value
namespace fifobus {

inline constexpr char kLockName[] = "broker.lock";
inline constexpr char kAliveName[] = "alive";
inline constexpr std::string_view kSessionsFolder = "sessions";
inline constexpr std::string_view kTopicsFolder = "topics";

inline constexpr std::string_view kUpSuffix = ".up";
inline constexpr std::string_view kDownSuffix = ".down";
inline constexpr std::string_view kInSuffix = ".in";
inline constexpr std::string_view kOutSuffix = ".out";
inline constexpr std::string_view kLastSuffix = ".last";

// The suffixes that a level of a topic must not have.
inline constexpr std::initializer_list<std::string_view> kTapSuffixes = {
    kInSuffix, kOutSuffix, kLastSuffix};

// A path below sessions/.
inline std::string SessionsPath(std::string_view name) {
  return std::string(kSessionsFolder).append("/").append(name);
}
// A path below topics/.
inline std::string TopicsPath(std::string_view path) {
  return std::string(kTopicsFolder).append("/").append(path);
}

inline std::string UpPath(std::string_view id) {
  return SessionsPath(id).append(kUpSuffix);
}
inline std::string DownPath(std::string_view id) {
  return SessionsPath(id).append(kDownSuffix);
}
inline std::string InPath(std::string_view topic) {
  return TopicsPath(topic).append(kInSuffix);
}
inline std::string OutPath(std::string_view topic) {
  return TopicsPath(topic).append(kOutSuffix);
}
inline std::string LastPath(std::string_view topic) {
  return TopicsPath(topic).append(kLastSuffix);
}

// `name` without a suffix that it has.
inline std::string WithoutSuffix(std::string_view name,
                                 std::string_view suffix) {
  return std::string(name.substr(0, name.size() - suffix.size()));
}

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_BUS_PATHS_H_
