#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_TABLE_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_TABLE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fifobus {

class ServedLog;

// Which log stores which topics. Immutable, hence Thread-safe.
class LogTable {
 public:
  struct Entry {
    std::string pattern;
    std::shared_ptr<ServedLog> log;
  };

  LogTable() = default;
  // In their order: a topic belongs to the first entry that matches it.
  explicit LogTable(std::vector<Entry> entries)
      : entries_(std::move(entries)) {}

  // Null: none. Replies are never stored.
  std::shared_ptr<ServedLog> LogOf(std::string_view topic) const;

  // The log that stores all topics which the pattern matches; null: none does.
  struct Serving {
    std::shared_ptr<ServedLog> log;
    bool whole = false;  // it stores no others
  };
  Serving LogServing(std::string_view pattern) const;

  std::shared_ptr<ServedLog> Find(std::string_view name) const;

  // "orders (orders/**), all (**)", for people; "none" without any.
  std::string Text() const;

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_TABLE_H_
