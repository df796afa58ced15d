#ifndef FIFOBUS_BROKER_CORE_LOGS_NAMED_PUBLISHER_H_
#define FIFOBUS_BROKER_CORE_LOGS_NAMED_PUBLISHER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/core/logs/publisher_table.h"
#include "broker/core/logs/served_log.h"

namespace fifobus {

// What a session with a publisher's name has stored in each log so far, so that
// its repeats are known before they are routed. It asks a log once, and then
// counts on: nobody else appends under the name (PublisherClaim).
//
// Worker-affine; owned by a Session.
class NamedPublisher {
 public:
  explicit NamedPublisher(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  enum class [[nodiscard]] Admission{
      kNew,
      kRepeat,      // the log has it, or is about to get it
      kNoSequence,  // a named publisher counts all messages that are stored
  };
  Admission Admit(ServedLog& log, uint64_t sequence);

  // A message of this sequence goes to the log.
  void NoteGathered(ServedLog& log, uint64_t sequence);
  // All of those are in the log; the last of them has this offset.
  void NoteAppended(ServedLog& log, uint64_t last_offset);
  // Or were not taken: the log is asked again.
  void Forget(ServedLog& log);

  // Where it stands in the log. Nothing: nowhere.
  std::optional<PublisherTable::Mark> MarkIn(ServedLog& log);

 private:
  struct Known {
    ServedLog* log;
    PublisherTable::Mark mark;  // with sequence 0: none
  };
  Known& Find(ServedLog& log);

  const std::string name_;
  std::vector<Known> known_;  // at most one for each log
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_NAMED_PUBLISHER_H_
