#include "clients/cli/serve/log_config.h"

#include <cstdint>
#include <string_view>
#include <utility>

#include "clients/cli/option_values.h"
#include "clients/cli/serve/config_value.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

// Reads one [[log]].
class LogTableReader {
 public:
  LogTableReader(const std::string& path, const toml::table& table)
      : path_(path), table_(table) {}

  absl::StatusOr<LogRule> Read() {
    for (const auto& [key, node] : table_) {
      const absl::Status status = TakeKey(key.str(), node);
      if (!status.ok()) {
        return FaultAt(path_, LineOf(node), std::string(status.message()));
      }
    }
    for (const char* key : {"name", "pattern"}) {
      if (table_.contains(key)) continue;
      return FaultAt(path_, LineOf(table_),
                     fmt::format("this [[log]] has no {}", key));
    }
    const absl::Status status = CheckLogRule(rule_);
    if (!status.ok()) {
      return FaultAt(path_, LineOf(table_), std::string(status.message()));
    }
    return std::move(rule_);
  }

 private:
  absl::Status TakeKey(std::string_view key, const toml::node& node) {
    if (key == "name") return TakeText(key, node, rule_.name);
    if (key == "pattern") return TakeText(key, node, rule_.pattern);
    if (key == "keep-bytes") return TakeBytes(key, node);
    if (key == "keep-age") return TakeAge(key, node);
    if (key == "keep-messages") return TakeMessages(key, node);
    if (key == "keep-until") return TakeKeepUntil(key, node);
    if (key == "sync") return TakeSync(key, node);
    if (key == "on-full") return TakeOnFull(key, node);
    return absl::InvalidArgumentError(fmt::format(
        "a [[log]] has no \"{}\"; it may have name, pattern, keep-bytes, "
        "keep-age, keep-messages, keep-until, sync, on-full",
        key));
  }

  static absl::Status TakeText(std::string_view key, const toml::node& node,
                               std::string& text) {
    if (node.as_string() == nullptr) return Wanted(key, "a string");
    text = node.as_string()->get();
    return absl::OkStatus();
  }

  absl::Status TakeBytes(std::string_view key, const toml::node& node) {
    const auto* number = node.as_integer();
    const auto bytes =
        ParseBytes(number != nullptr ? fmt::format("{}", number->get())
                                     : node.value_or(std::string()));
    if (!bytes.ok()) {
      return Wanted(key, "a number of bytes, such as \"1GiB\" or 4096");
    }
    rule_.keep_bytes = *bytes;
    return absl::OkStatus();
  }

  absl::Status TakeAge(std::string_view key, const toml::node& node) {
    const auto age = ParseAge(node.value_or(std::string()));
    if (!age.ok()) return Wanted(key, "a duration, such as \"12h\" or \"7d\"");
    rule_.keep_age = *age;
    return absl::OkStatus();
  }

  absl::Status TakeMessages(std::string_view key, const toml::node& node) {
    const auto* number = node.as_integer();
    if (number == nullptr || number->get() <= 0) {
      return Wanted(key, "a number above 0");
    }
    rule_.keep_messages = static_cast<uint64_t>(number->get());
    return absl::OkStatus();
  }

  absl::Status TakeKeepUntil(std::string_view key, const toml::node& node) {
    const std::string word = node.value_or(std::string());
    if (word != "limits" && word != "done") {
      return Wanted(key, "\"limits\" or \"done\"");
    }
    rule_.keep_until = word == "done" ? LogRule::KeepUntil::kDone
                                      : LogRule::KeepUntil::kLimits;
    return absl::OkStatus();
  }

  absl::Status TakeSync(std::string_view key, const toml::node& node) {
    const std::string word = node.value_or(std::string());
    if (word == "always") {
      rule_.sync_interval = absl::ZeroDuration();
      return absl::OkStatus();
    }
    const auto interval = ParseAge(word);
    if (!interval.ok()) {
      return Wanted(key, "\"always\", or how often, such as \"100ms\"");
    }
    rule_.sync_interval = *interval;
    return absl::OkStatus();
  }

  absl::Status TakeOnFull(std::string_view key, const toml::node& node) {
    const std::string word = node.value_or(std::string());
    if (word != "wait" && word != "drop-oldest") {
      return Wanted(key, "\"wait\" or \"drop-oldest\"");
    }
    rule_.on_full =
        word == "wait" ? LogRule::OnFull::kWait : LogRule::OnFull::kDropOldest;
    return absl::OkStatus();
  }

  const std::string& path_;
  const toml::table& table_;
  LogRule rule_;
};

}  // namespace

absl::StatusOr<LogRule> ReadLogTable(const std::string& path,
                                     const toml::table& table) {
  return LogTableReader(path, table).Read();
}

absl::StatusOr<LogRule> ParseLogOption(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is not NAME=PATTERN, such as orders=orders/**", text));
  }
  LogRule rule;
  rule.name = text.substr(0, equals);
  rule.pattern = text.substr(equals + 1);
  absl::Status status = CheckLogRule(rule);
  if (!status.ok()) return status;
  return rule;
}

std::vector<std::string> ShadowedLogs(const std::vector<LogRule>& rules) {
  std::vector<std::string> sentences;
  for (size_t i = 0; i < rules.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (!Covers(rules[k].pattern, rules[i].pattern)) continue;
      sentences.push_back(fmt::format(
          "log \"{}\" stores nothing: log \"{}\" stands before it, and its "
          "pattern {} matches all of {}",
          rules[i].name, rules[k].name, rules[k].pattern, rules[i].pattern));
      break;
    }
  }
  return sentences;
}

}  // namespace fifobus::cli
