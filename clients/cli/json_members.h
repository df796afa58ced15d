#ifndef FIFOBUS_CLIENTS_CLI_JSON_MEMBERS_H_
#define FIFOBUS_CLIENTS_CLI_JSON_MEMBERS_H_

#include <cstdint>
#include <string>

#include "nlohmann/json.hpp"

// Members of JSON objects that others have made, so that one may be absent or of
// another kind: then it is as 0 or empty. Thread-safe (no state).
namespace fifobus::cli {

inline uint64_t NumberAt(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_unsigned()
             ? found->get<uint64_t>()
             : 0;
}

inline int64_t SignedAt(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_integer()
             ? found->get<int64_t>()
             : 0;
}

inline std::string TextAt(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>()
                                                   : "";
}

inline nlohmann::json ObjectAt(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? *found
                                                   : nlohmann::json::object();
}

inline nlohmann::json ListAt(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_array() ? *found
                                                  : nlohmann::json::array();
}

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_JSON_MEMBERS_H_
