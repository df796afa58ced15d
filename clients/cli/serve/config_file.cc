#include "clients/cli/serve/config_file.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "broker/rules/topic_rules.h"
#include "clients/cli/serve/config_value.h"
#include "clients/cli/serve/log_config.h"
#include "clients/cli/serve/user_names.h"
#include "fmt/format.h"
#include "proto/overflow.h"
#include "toml++/toml.h"

namespace fifobus::cli {
namespace {

// Options of the command line that are about the file itself.
bool IsOfTheCommandLine(std::string_view name) {
  return name == "config" || name == "check" || name == "help";
}

// A scalar as it would stand on the command line; nothing: it is none.
std::optional<std::string> ScalarText(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) {
    return fmt::format("{}", number->get());
  }
  if (const auto* number = node.as_floating_point()) {
    return fmt::format("{}", number->get());
  }
  if (const auto* truth = node.as_boolean()) {
    return truth->get() ? "true" : "false";
  }
  return std::nullopt;
}

// Reads one [[topic]].
class TopicReader {
 public:
  TopicReader(const std::string& path, const toml::table& table)
      : path_(path), table_(table) {}

  absl::StatusOr<TopicRule> Read() {
    for (const auto& [key, node] : table_) {
      const absl::Status status = TakeKey(key.str(), node);
      if (!status.ok())
        return FaultAt(path_, LineOf(node), std::string(status.message()));
    }
    if (!table_.contains("pattern")) {
      return FaultAt(path_, LineOf(table_), "this [[topic]] has no pattern");
    }
    const absl::Status status = CheckTopicRule(rule_);
    if (!status.ok())
      return FaultAt(path_, LineOf(table_), std::string(status.message()));
    return std::move(rule_);
  }

 private:
  absl::Status TakeKey(std::string_view key, const toml::node& node) {
    if (key == "pattern") return TakePattern(node);
    if (key == "overflow") return TakeOverflow(node);
    if (key == "queue-bytes")
      return TakeCount(key, node, rule_.queue_bytes_max);
    if (key == "queue-messages") {
      return TakeCount(key, node, rule_.queue_messages_max);
    }
    if (key == "history") return TakeCount(key, node, rule_.history);
    if (key == "retain") return TakeRetain(node);
    if (key == "publish") return TakePrincipals(key, node, rule_.publish);
    if (key == "subscribe") return TakePrincipals(key, node, rule_.subscribe);
    if (key == "tap-mode") return TakeMode(node);
    if (key == "create") return TakeCreate(node);
    return absl::InvalidArgumentError(fmt::format(
        "a [[topic]] has no \"{}\"; it may have pattern, overflow, "
        "queue-bytes, queue-messages, history, retain, publish, subscribe, "
        "tap-mode, create",
        key));
  }

  absl::Status TakePattern(const toml::node& node) {
    const auto* text = node.as_string();
    if (text == nullptr) return Wanted("pattern", "a string");
    rule_.pattern = text->get();
    return absl::OkStatus();
  }

  absl::Status TakeOverflow(const toml::node& node) {
    rule_.overflow = OverflowNamed(node.value_or(std::string()));
    if (!rule_.overflow || *rule_.overflow == Overflow::kDisconnect ||
        *rule_.overflow == Overflow::kBlock) {
      return Wanted("overflow",
                    "\"drop-oldest\", \"drop-newest\" or \"latest\"");
    }
    return absl::OkStatus();
  }

  static absl::Status TakeCount(std::string_view key, const toml::node& node,
                                std::optional<size_t>& count) {
    const auto* number = node.as_integer();
    if (number == nullptr || number->get() < 0) {
      return Wanted(key, "a number, not negative");
    }
    count = static_cast<size_t>(number->get());
    return absl::OkStatus();
  }

  absl::Status TakeRetain(const toml::node& node) {
    if (!node.is_boolean()) return Wanted("retain", "true or false");
    rule_.retain = node.as_boolean()->get();
    return absl::OkStatus();
  }

  absl::Status TakeCreate(const toml::node& node) {
    if (!node.is_boolean()) return Wanted("create", "true or false");
    rule_.create = node.as_boolean()->get();
    return absl::OkStatus();
  }

  static absl::Status TakePrincipals(std::string_view key,
                                     const toml::node& node,
                                     std::optional<Principals>& principals) {
    const toml::array* names = node.as_array();
    if (names == nullptr) {
      return Wanted(key, R"(a list, such as ["alice", "@group"])");
    }
    Principals all;
    for (const toml::node& name : *names) {
      const auto* text = name.as_string();
      if (text == nullptr) return Wanted(key, "a list of strings");
      const absl::Status status = AddPrincipals(text->get(), all);
      if (!status.ok()) return status;
    }
    principals = std::move(all);
    return absl::OkStatus();
  }

  absl::Status TakeMode(const toml::node& node) {
    const std::string text = node.value_or(std::string());
    const char* const end = text.data() + text.size();
    mode_t mode = 0;
    const auto parsed = std::from_chars(text.data(), end, mode, 8);
    if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) {
      return Wanted("tap-mode", "an octal number in quotes, \"0620\"");
    }
    rule_.tap_mode = mode;
    return absl::OkStatus();
  }

  const std::string& path_;
  const toml::table& table_;
  TopicRule rule_;
};

absl::Status TakeTopics(const toml::node& node, ConfigFile& file) {
  const toml::array* tables = node.as_array();
  if (tables == nullptr || !tables->is_array_of_tables()) {
    return FaultAt(file.path, LineOf(node),
                   "a topic begins with [[topic]], in two pairs of brackets");
  }
  for (const toml::node& table : *tables) {
    auto rule = TopicReader(file.path, *table.as_table()).Read();
    if (!rule.ok()) return rule.status();
    file.topics.push_back(*std::move(rule));
  }
  return absl::OkStatus();
}

absl::Status TakeLogs(const toml::node& node, ConfigFile& file) {
  const toml::array* tables = node.as_array();
  if (tables == nullptr || !tables->is_array_of_tables()) {
    return FaultAt(file.path, LineOf(node),
                   "a log begins with [[log]], in two pairs of brackets");
  }
  for (const toml::node& table : *tables) {
    auto rule = ReadLogTable(file.path, *table.as_table());
    if (!rule.ok()) return rule.status();
    file.logs.push_back(*std::move(rule));
    const absl::Status status = CheckLogRules(file.logs);
    if (!status.ok()) {
      return FaultAt(file.path, LineOf(table), std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

absl::Status TakeSetting(const std::string& name, const toml::node& node,
                         ConfigFile& file) {
  ConfigFile::Setting setting;
  setting.line = LineOf(node);
  std::vector<const toml::node*> nodes = {&node};
  if (const toml::array* list = node.as_array()) {
    nodes.clear();
    for (const toml::node& each : *list) nodes.push_back(&each);
  }
  for (const toml::node* each : nodes) {
    auto text = ScalarText(*each);
    if (!text) {
      return FaultAt(file.path, setting.line,
                     fmt::format("\"{}\" is not a setting with a value", name));
    }
    setting.values.push_back(*std::move(text));
  }
  if (setting.values.empty()) {
    return FaultAt(file.path, setting.line,
                   fmt::format("\"{}\" is an empty list; leave it out", name));
  }
  file.settings.emplace(name, std::move(setting));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) {
    return absl::NotFoundError(path + ": the file cannot be read");
  }
  toml::table table;
  try {
    table = toml::parse(stream, path);
  } catch (const toml::parse_error& error) {
    return FaultAt(path, static_cast<int>(error.source().begin.line),
                   error.description());
  }
  ConfigFile file;
  file.path = path;
  for (const auto& [key, node] : table) {
    const std::string name(key.str());
    const absl::Status status = name == "topic" ? TakeTopics(node, file)
                                : name == "log" ? TakeLogs(node, file)
                                                : TakeSetting(name, node, file);
    if (!status.ok()) return status;
  }
  return file;
}

absl::Status ApplySettings(const ConfigFile& file, Command& serve) {
  for (const auto& [name, setting] : file.settings) {
    const absl::Status status =
        IsOfTheCommandLine(name)
            ? absl::NotFoundError(name)
            : serve.SetDefault("--" + name, setting.values);
    if (absl::IsNotFound(status)) {
      return FaultAt(file.path, setting.line,
                     fmt::format("there is no setting \"{}\"; they are the "
                                 "options of `fifobus serve --help`, without "
                                 "their dashes",
                                 name));
    }
    if (!status.ok()) {
      return FaultAt(file.path, setting.line, std::string(status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace fifobus::cli
