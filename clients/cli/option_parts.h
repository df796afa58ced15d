#ifndef FIFOBUS_CLIENTS_CLI_OPTION_PARTS_H_
#define FIFOBUS_CLIENTS_CLI_OPTION_PARTS_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_join.h"
#include "fmt/format.h"

// What command.cc makes options of CLI11 from. Nobody else includes this: the
// header of CLI11 takes seconds to compile. Thread-safe (no state).
namespace fifobus::cli {

// "--count COUNT" as CLI11 wants it: the names, and the value's name.
struct Spec {
  explicit Spec(const std::string& text)
      : names(text.substr(0, text.find(' '))),
        value(names.size() == text.size() ? ""
                                          : text.substr(names.size() + 1)) {}
  std::string value_or(const std::string& other) const {
    return value.empty() ? other : value;
  }

  // The longest, as CLI11's errors have it: "--count".
  std::string name() const { return names.substr(names.rfind(',') + 1); }

  const std::string names;
  const std::string value;
};

inline CLI::Option* AddTo(CLI::App& app, const Spec& spec,
                          const std::string& type, CLI::callback_t take,
                          const std::string& about) {
  return app.add_option(spec.names, std::move(take), about)
      ->type_name(spec.value_or(type));
}

// Where it is among the names; behind them: it is none.
inline size_t Find(const std::string& text,
                   const std::vector<std::string>& names) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), text) -
                             names.begin());
}

// Stands behind the value's name in the help, where choices() finds them.
inline CLI::Validator OneOf(const std::vector<std::string>& names) {
  return {[names](const std::string& text) {
            return Find(text, names) < names.size()
                       ? ""
                       : fmt::format("\"{}\" is none of {}", text,
                                     absl::StrJoin(names, ", "));
          },
          fmt::format("{{{}}}", absl::StrJoin(names, ","))};
}

// The callback of an option that may be given once.
template <typename Text>
CLI::callback_t FirstInto(Text& value) {
  return [&value](const CLI::results_t& texts) {
    value = texts.front();
    return true;
  };
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_OPTION_PARTS_H_
