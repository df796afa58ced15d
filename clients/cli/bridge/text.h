#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_TEXT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_TEXT_H_

#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"

// Small things with texts. Debian's Abseil has a string_view of its own, so that
// its functions do not take std's. Thread-safe (no state).
namespace fifobus::bridge {

inline void AppendText(std::string& to, std::string_view text) { to += text; }
template <std::integral Number>
void AppendText(std::string& to, Number number) {
  to += std::to_string(number);
}

// All of them, one behind the other.
template <typename... Parts>
std::string Concat(const Parts&... parts) {
  std::string all;
  (AppendText(all, parts), ...);
  return all;
}

inline std::vector<std::string_view> Split(std::string_view text,
                                           char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <typename Texts>
std::string Join(const Texts& texts, std::string_view separator) {
  std::string all;
  for (const auto& text : texts) {
    if (&text != &*texts.begin()) all += separator;
    all += text;
  }
  return all;
}

// Nothing: it is none.
inline std::optional<uint64_t> ReadNumber(std::string_view text) {
  uint64_t number = 0;
  const auto read =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || read.ec != std::errc() ||
      read.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

// A part of a subject that no other process has.
inline std::string UniqueToken() {
  std::random_device random;
  std::string token;
  for (int i = 0; i < 3; ++i) {
    std::array<char, 8> digits = {};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                   random() & 0xffffffffU, 16);
    token.append(digits.data(), end.ptr);
  }
  return token;
}

inline bool StartsWithIgnoringCase(std::string_view text,
                                   std::string_view start) {
  if (text.size() < start.size()) return false;
  for (size_t i = 0; i < start.size(); ++i) {
    if (absl::ascii_tolower(text[i]) != absl::ascii_tolower(start[i]))
      return false;
  }
  return true;
}

inline bool EqualsIgnoringCase(std::string_view text, std::string_view start) {
  return text.size() == start.size() && StartsWithIgnoringCase(text, start);
}

inline std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_TEXT_H_
