#ifndef FIFOBUS_PROTO_TOPIC_H_
#define FIFOBUS_PROTO_TOPIC_H_

#include <cstddef>
#include <string_view>

#include "absl/container/inlined_vector.h"

// Names of topics and the patterns that match them.
//
// A topic has 1 to 16 levels separated by '/', at most 200 bytes in all. A
// level is one or more of [A-Za-z0-9_.:@-], does not begin with a dot and does
// not end in ".in", ".out" or ".last", so that every topic is also a path. The
// first level may begin with '$': such topics are the broker's own.
//
// A pattern is a topic in which a level may be "*" (exactly one level) and the
// last level "**" (one or more levels). Neither matches a '$' level when it is
// the first.
namespace fifobus {

inline constexpr size_t kTopicBytesMax = 200;
inline constexpr size_t kTopicLevelsMax = 16;

// Why a name was refused.
enum class TopicFault {
  kNone,
  kEmpty,
  kTooLong,
  kTooManyLevels,
  kEmptyLevel,
  kBadCharacter,
  kLeadingDot,
  kReservedSuffix,
  kMisplacedWildcard,
  kReserved,
};

// One clause for people, such as "is longer than 200 bytes". Empty for kNone
// only.
std::string_view TopicFaultText(TopicFault fault);

// As TopicFaultText, for a pattern: says how wildcards are written to people who
// know others, such as "#", "+" and ">".
std::string_view PatternFaultText(TopicFault fault);

// Says what is wrong with a topic. '$' topics are valid here.
[[nodiscard]] TopicFault CheckTopic(std::string_view topic);

// The same for a topic that a client publishes on: '$' topics are kReserved.
[[nodiscard]] TopicFault CheckTopicToPublish(std::string_view topic);

// Says what is wrong with a pattern.
[[nodiscard]] TopicFault CheckPattern(std::string_view pattern);

// True for the broker's own topics: the first level begins with '$'.
bool IsReserved(std::string_view topic);

// True for the topics of replies: the first level is "_inbox". Each request has
// one of its own.
bool IsReplyTopic(std::string_view topic);

// The levels of a name, in order; the views point into `name`.
using TopicLevels = absl::InlinedVector<std::string_view, kTopicLevelsMax>;
TopicLevels SplitLevels(std::string_view name);

// True if the pattern matches the topic. Both must be valid. Costs a pass over
// both; a program with many patterns uses the broker's subscription table.
bool Matches(std::string_view pattern, std::string_view topic);

// True if each topic that `pattern` matches is also matched by `wide`. Both
// must be valid patterns.
bool Covers(std::string_view wide, std::string_view pattern);

// True if there is a topic that both patterns match. Both must be valid.
bool Overlaps(std::string_view a, std::string_view b);

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_TOPIC_H_
