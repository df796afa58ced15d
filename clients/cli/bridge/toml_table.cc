#include "clients/cli/bridge/toml_table.h"

#include <optional>
#include <utility>

#include "clients/cli/bridge/text.h"
#include "clients/cli/option_values.h"
#include "fmt/format.h"

namespace fifobus::bridge {
namespace {

int LineOf(const toml::node& node) {
  return static_cast<int>(node.source().begin.line);
}

}  // namespace

const toml::node* TomlTable::Find(std::string_view key) {
  known_.emplace(key);
  return table_.get(key);
}

int TomlTable::line() const { return LineOf(table_); }

void TomlTable::Fault(std::string_view key, std::string_view text) {
  if (!faulty_.emplace(key).second) return;
  const toml::node* node = table_.get(key);
  faults_.push_back(fmt::format("{}:{}: {} {}", path_,
                                node == nullptr ? line() : LineOf(*node), key,
                                text));
}

void TomlTable::Text(std::string_view key, std::string& value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  if (const auto* text = node->as_string(); text != nullptr) {
    value = text->get();
  } else {
    Fault(key, "must be a text in quotes");
  }
}

void TomlTable::Texts(std::string_view key, std::vector<std::string>& values) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  const toml::array* list = node->as_array();
  std::vector<std::string> texts;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    if (const auto* text = (*list)[i].as_string(); text != nullptr) {
      texts.push_back(text->get());
    }
  }
  if (list == nullptr || texts.empty() || texts.size() != list->size()) {
    Fault(key, "must be a list of texts, such as [\"a\", \"b\"]");
    return;
  }
  values = std::move(texts);
}

void TomlTable::Flag(std::string_view key, bool& value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  if (const auto* flag = node->as_boolean(); flag != nullptr) {
    value = flag->get();
  } else {
    Fault(key, "must be true or false");
  }
}

void TomlTable::Count(std::string_view key, uint64_t least, uint64_t most,
                      uint64_t& value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  const auto* number = node->as_integer();
  if (number == nullptr || number->get() < 0 ||
      static_cast<uint64_t>(number->get()) < least ||
      static_cast<uint64_t>(number->get()) > most) {
    Fault(key, fmt::format("must be a number from {} to {}", least, most));
    return;
  }
  value = static_cast<uint64_t>(number->get());
}

void TomlTable::Bytes(std::string_view key, uint64_t least, uint64_t most,
                      uint64_t& value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  std::optional<uint64_t> bytes;
  if (const auto* text = node->as_string(); text != nullptr) {
    const auto parsed = cli::ParseBytes(text->get());
    if (parsed.ok()) bytes = *parsed;
  } else if (const auto* number = node->as_integer();
             number != nullptr && number->get() >= 0) {
    bytes = static_cast<uint64_t>(number->get());
  }
  if (!bytes || *bytes < least || *bytes > most) {
    Fault(key, fmt::format("must be a size from {} to {} bytes, such as "
                           "\"8MiB\"",
                           least, most));
    return;
  }
  value = *bytes;
}

void TomlTable::Duration(std::string_view key, absl::Duration least,
                         absl::Duration& value) {
  const toml::node* node = Find(key);
  if (node == nullptr) return;
  std::optional<absl::Duration> duration;
  if (const auto* text = node->as_string(); text != nullptr) {
    const auto parsed = cli::ParseAge(text->get());
    if (parsed.ok()) duration = *parsed;
  } else if (const auto number = node->value<double>(); number) {
    duration = absl::Seconds(*number);
  }
  if (!duration || *duration < least) {
    Fault(key, fmt::format("must be a time of at least {}, such as \"10s\"",
                           absl::FormatDuration(least)));
    return;
  }
  value = *duration;
}

void TomlTable::RefuseOthers(std::string_view what) {
  if (!faulty_.empty()) return;
  for (const auto& [key, node] : table_) {
    if (known_.count(key.str()) != 0) continue;
    faults_.push_back(fmt::format("{}:{}: {} is no key of {}; there are {}",
                                  path_, LineOf(node), key.str(), what,
                                  Join(known_, ", ")));
  }
}

}  // namespace fifobus::bridge
