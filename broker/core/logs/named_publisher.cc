#include "broker/core/logs/named_publisher.h"

namespace fifobus {

NamedPublisher::Known& NamedPublisher::Find(ServedLog& log) {
  for (Known& known : known_) {
    if (known.log == &log) return known;
  }
  const auto mark = log.log().FindPublisher(name_);
  known_.push_back({&log, mark.value_or(PublisherTable::Mark())});
  return known_.back();
}

NamedPublisher::Admission NamedPublisher::Admit(ServedLog& log,
                                                uint64_t sequence) {
  if (sequence == 0) return Admission::kNoSequence;
  return sequence <= Find(log).mark.last_sequence ? Admission::kRepeat
                                                  : Admission::kNew;
}

void NamedPublisher::NoteGathered(ServedLog& log, uint64_t sequence) {
  Find(log).mark.last_sequence = sequence;
}

void NamedPublisher::NoteAppended(ServedLog& log, uint64_t last_offset) {
  Find(log).mark.last_offset = last_offset;
}

void NamedPublisher::Forget(ServedLog& log) {
  std::erase_if(known_, [&](const Known& known) { return known.log == &log; });
}

std::optional<PublisherTable::Mark> NamedPublisher::MarkIn(ServedLog& log) {
  const PublisherTable::Mark mark = Find(log).mark;
  if (mark.last_sequence == 0) return std::nullopt;
  return mark;
}

}  // namespace fifobus
