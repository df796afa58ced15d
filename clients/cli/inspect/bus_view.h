#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_BUS_VIEW_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_BUS_VIEW_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/client.h"
#include "proto/frame.pb.h"

// What `info` and `why` learn from a broker, and their names for clients.
namespace fifobus::cli {

// Two answers to Stats, so that there are rates.
struct BusView {
  std::string dir;  // of the bus; empty: it has gone
  pb::StatsReply before;
  pb::StatsReply now;
  double seconds = 0;  // between them

  // How much a count has grown in a second.
  double Rate(uint64_t then, uint64_t count) const;
};
// `dir` as the options have it.
absl::StatusOr<BusView> ViewBus(Client& client, const std::string& dir,
                                absl::Duration interval);

// The same topic, session or tap in the answer before; an empty one if that had
// none.
const pb::StatsReply::Topic& Before(const BusView& view,
                                    const pb::StatsReply::Topic& topic);
const pb::StatsReply::Session& Before(const BusView& view,
                                      const pb::StatsReply::Session& session);

// The subscribers that would get a message on a topic.
struct Receivers {
  struct ByPattern {
    const pb::StatsReply::Session* session;
    std::string pattern;  // the first that matches
  };
  std::vector<ByPattern> sessions;
  std::vector<const pb::StatsReply::Group*> groups;
  std::vector<const pb::StatsReply::Tap*> taps;

  size_t size() const { return sessions.size() + groups.size() + taps.size(); }
};
// They point into `stats`.
Receivers ReceiversOf(const pb::StatsReply& stats, std::string_view topic);

// `session 7 "fifobus sub" (pid 4711, user alice)`.
std::string SessionText(const pb::StatsReply::Session& session);

// Who a topic's publisher is, by its session's number; 0: the topic's tap.
std::string PublisherText(const pb::StatsReply& stats, uint64_t number);

// A subscriber that has read nothing for so long is stuck; below that it is
// only busy. The stall timeout's default.
inline constexpr uint64_t kStuckMillis = 1000;

// "drop-oldest", as the options have it.
std::string_view OverflowText(pb::Overflow overflow);

// "alice", or the number of a user without a name.
std::string UserText(uint32_t uid);

// Processes that have the FIFO open for reading, as far as this user may look
// at them.
std::vector<uint32_t> ReadersOf(const std::string& fifo_path);

// One word for what a process does: "stopped", "gone"... Empty: nothing that
// explains why it does not read.
std::string ProcessTrouble(uint32_t pid);

// "1,234 messages", "1 message", "5.3 MB", "2.5 s".
std::string CountText(uint64_t count, std::string_view what);
std::string BytesText(uint64_t bytes);
std::string AgeText(uint64_t millis);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_BUS_VIEW_H_
