#ifndef FIFOBUS_TESTS_FUZZ_NAIVE_TOPICS_H_
#define FIFOBUS_TESTS_FUZZ_NAIVE_TOPICS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// The rules of topic.h once more, as simply as they can be said. Thread-safe
// (no state).
namespace fifobus::fuzz {

inline std::vector<std::string> NaiveLevels(std::string_view name) {
  std::vector<std::string> levels(1);
  for (const char c : name) {
    if (c == '/') {
      levels.emplace_back();
    } else {
      levels.back() += c;
    }
  }
  return levels;
}

inline bool NaiveLevelIsValid(const std::string& level, bool is_first) {
  const std::string characters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@-";
  std::string rest = level;
  if (is_first && !rest.empty() && rest[0] == '$') rest.erase(0, 1);
  if (rest.empty() || rest[0] == '.') return false;
  if (rest.find_first_not_of(characters) != std::string::npos) return false;
  return !level.ends_with(".in") && !level.ends_with(".out") &&
         !level.ends_with(".last");
}

inline bool NaiveIsName(std::string_view name, bool may_have_wildcards) {
  if (name.size() > 200) return false;
  const auto levels = NaiveLevels(name);
  if (levels.size() > 16) return false;
  for (size_t i = 0; i < levels.size(); ++i) {
    if (may_have_wildcards && levels[i] == "*") continue;
    if (may_have_wildcards && levels[i] == "**" && i + 1 == levels.size()) {
      continue;
    }
    if (!NaiveLevelIsValid(levels[i], i == 0)) return false;
  }
  return true;
}

inline bool NaiveMatches(std::string_view pattern, std::string_view topic) {
  const auto wanted = NaiveLevels(pattern);
  const auto levels = NaiveLevels(topic);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i >= levels.size()) return false;
    const bool is_wildcard = wanted[i] == "*" || wanted[i] == "**";
    if (i == 0 && is_wildcard && levels[0][0] == '$') return false;
    if (wanted[i] == "**") return true;
    if (!is_wildcard && wanted[i] != levels[i]) return false;
  }
  return wanted.size() == levels.size();
}

// A name of a few levels out of `letters`, one for each byte.
inline std::string SmallName(std::string_view bytes,
                             const std::vector<std::string>& letters,
                             size_t levels_max) {
  std::string name;
  for (size_t i = 0; i < bytes.size() && i < levels_max; ++i) {
    if (i > 0) name += '/';
    name += letters[static_cast<unsigned char>(bytes[i]) % letters.size()];
  }
  return name;
}

}  // namespace fifobus::fuzz

#endif  // FIFOBUS_TESTS_FUZZ_NAIVE_TOPICS_H_
