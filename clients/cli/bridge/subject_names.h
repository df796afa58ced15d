#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_SUBJECT_NAMES_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_SUBJECT_NAMES_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

// Topics of fifobus as subjects of NATS, and back.
//
// '/' becomes '.', and each byte of a level that NATS gives a meaning to becomes
// %XX: "sensors/v1.2" is "sensors.v1%2E2". The way back leads to the same topic.
// In patterns "*" stays, and a last "**" is ">".
//
// A mapping takes a prefix away and puts another one before what is left: with
// the topics' prefix "factory" and the subjects' prefix "edge1.f" the topic
// "factory/oven" is the subject "edge1.f.oven". An empty prefix is none. The
// prefix alone is not mapped: something must follow.
namespace fifobus::bridge {

struct NameMap {
  std::string topic_prefix;
  std::string subject_prefix;
};

// The most bytes of a subject that the bridge makes or takes. The server's limit
// on a line is 4096, which holds a reply and sizes as well.
inline constexpr size_t kSubjectBytesMax = 1024;

// Of a topic, or of a pattern. InvalidArgument: it does not begin with the
// topics' prefix. REQUIRES: it is valid.
absl::StatusOr<std::string> SubjectOf(const NameMap& map,
                                      std::string_view topic);

// Of a subject. InvalidArgument says why it is no topic that can be published.
absl::StatusOr<std::string> TopicOf(const NameMap& map,
                                    std::string_view subject);

// Of a filter such as "orders.*.new" or "orders.>": the pattern of all topics
// that its subjects become. InvalidArgument: it is no filter, or lies outside
// the subjects' prefix.
absl::StatusOr<std::string> PatternOf(const NameMap& map,
                                      std::string_view filter);

// One clause for people on what is wrong with a filter; empty: nothing.
std::string_view FilterFault(std::string_view filter);
// The same for a subject, which has no wildcards.
std::string_view SubjectFault(std::string_view subject);

// True if there is a subject that both filters match. Both must be valid.
bool FiltersOverlap(std::string_view a, std::string_view b);
// True if each subject of `filter` is one of `wide`. Both must be valid.
bool FilterCovers(std::string_view wide, std::string_view filter);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_SUBJECT_NAMES_H_
