#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_TOML_TABLE_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_TOML_TABLE_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "toml++/toml.h"

namespace fifobus::bridge {

// Reads one table of a TOML file key by key. Each read leaves its target alone
// if the key is absent, and notes a fault if the value is not what it should be.
// At the end RefuseOthers names the keys that nobody has read.
//
// Thread-compatible. The file's faults, path and table must outlive it.
class TomlTable {
 public:
  TomlTable(const std::string& path, const toml::table& table,
            std::vector<std::string>& faults)
      : path_(path), table_(table), faults_(faults) {}

  bool Has(std::string_view key) { return Find(key) != nullptr; }
  void Text(std::string_view key, std::string& value);
  void Texts(std::string_view key, std::vector<std::string>& values);
  void Flag(std::string_view key, bool& value);
  void Count(std::string_view key, uint64_t least, uint64_t most,
             uint64_t& value);
  // A number, or "512KiB", "1GiB".
  void Bytes(std::string_view key, uint64_t least, uint64_t most,
             uint64_t& value);
  // "200ms", "1h30m", "7d", or a number of seconds.
  void Duration(std::string_view key, absl::Duration least,
                absl::Duration& value);

  // Notes "FILE:LINE: KEY TEXT", with the key's line or else the table's. One for
  // each key.
  void Fault(std::string_view key, std::string_view text);
  // Only if all else is right: what a fault made the reader pass over is known.
  void RefuseOthers(std::string_view what);
  int line() const;

 private:
  const toml::node* Find(std::string_view key);

  const std::string& path_;
  const toml::table& table_;
  std::vector<std::string>& faults_;
  std::set<std::string, std::less<>> known_;
  std::set<std::string, std::less<>> faulty_;
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_TOML_TABLE_H_
