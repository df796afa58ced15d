#include "clients/cli/inspect/bus_view.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "clients/cli/attend.h"
#include "clients/cpp/bus_locator.h"
#include "fmt/format.h"
#include "proto/overflow.h"
#include "proto/topic.h"

namespace fifobus::cli {
namespace {

// The character of proc_pid_stat(5) that says what the process does.
char StateOf(uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string text((std::istreambuf_iterator<char>(file)),
                         std::istreambuf_iterator<char>());
  // The name before it is in parentheses and may contain some.
  const size_t name_end = text.rfind(") ");
  return name_end == std::string::npos ? '\0' : text[name_end + 2];
}

// proc_pid_fdinfo(5): the flags of open(2), in octal.
bool IsForReading(const std::string& process, const std::string& descriptor) {
  std::ifstream file(fmt::format("{}/fdinfo/{}", process, descriptor));
  std::string key;
  unsigned flags = O_WRONLY;
  while (file >> key) {
    if (key == "flags:") {
      file >> std::oct >> flags;
      break;
    }
  }
  return (flags & O_ACCMODE) != O_WRONLY;
}

bool ReadsFrom(const std::string& process, const struct stat& fifo) {
  std::error_code error;
  const std::filesystem::directory_iterator files(process + "/fd", error);
  if (error) return false;
  for (const auto& file : files) {
    struct stat status;
    if (stat(file.path().c_str(), &status) == 0 &&
        status.st_ino == fifo.st_ino && status.st_dev == fifo.st_dev &&
        IsForReading(process, file.path().filename())) {
      return true;
    }
  }
  return false;
}

}  // namespace

double BusView::Rate(uint64_t then, uint64_t count) const {
  return seconds <= 0 || count < then
             ? 0
             : static_cast<double>(count - then) / seconds;
}

absl::StatusOr<BusView> ViewBus(Client& client, const std::string& dir,
                                absl::Duration interval) {
  BusView view;
  view.dir = FindBus(dir).value_or("");
  auto stats = client.Stats();
  if (!stats.ok()) return stats.status();
  view.before = *std::move(stats);
  const auto begin = std::chrono::steady_clock::now();
  const absl::Status status = AttendUntil(client, interval);
  if (!status.ok()) return status;
  stats = client.Stats();
  if (!stats.ok()) return stats.status();
  view.now = *std::move(stats);
  view.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin)
          .count();
  return view;
}

const pb::StatsReply::Topic& Before(const BusView& view,
                                    const pb::StatsReply::Topic& topic) {
  for (const auto& other : view.before.topics()) {
    if (other.name() == topic.name()) return other;
  }
  return pb::StatsReply::Topic::default_instance();
}

const pb::StatsReply::Session& Before(const BusView& view,
                                      const pb::StatsReply::Session& session) {
  for (const auto& other : view.before.sessions()) {
    if (other.number() == session.number()) return other;
  }
  return pb::StatsReply::Session::default_instance();
}

Receivers ReceiversOf(const pb::StatsReply& stats, std::string_view topic) {
  Receivers receivers;
  for (const auto& session : stats.sessions()) {
    for (const std::string& pattern : session.patterns()) {
      if (!Matches(pattern, topic)) continue;
      receivers.sessions.push_back({&session, pattern});
      break;
    }
  }
  for (const auto& group : stats.groups()) {
    if (Matches(group.pattern(), topic)) receivers.groups.push_back(&group);
  }
  const std::string out = fmt::format("{}.out/", topic);
  for (const auto& tap : stats.taps()) {
    if (tap.name().starts_with(out)) receivers.taps.push_back(&tap);
  }
  return receivers;
}

std::string SessionText(const pb::StatsReply::Session& session) {
  return fmt::format("session {} \"{}\" (pid {}, user {})", session.number(),
                     session.client_name(), session.pid(),
                     UserText(session.uid()));
}

std::string PublisherText(const pb::StatsReply& stats, uint64_t number) {
  if (number == 0) return "its tap, by lines written to it";
  for (const auto& session : stats.sessions()) {
    if (session.number() == number) return SessionText(session);
  }
  return fmt::format("session {}, which has ended", number);
}

std::string_view OverflowText(pb::Overflow overflow) {
  return OverflowName(OverflowOf(overflow));
}

std::string UserText(uint32_t uid) {
  const passwd* user = getpwuid(uid);
  return user == nullptr ? fmt::format("{}", uid) : user->pw_name;
}

std::vector<uint32_t> ReadersOf(const std::string& fifo_path) {
  std::vector<uint32_t> pids;
  struct stat fifo;
  if (stat(fifo_path.c_str(), &fifo) != 0) return pids;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    uint32_t pid = 0;
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data(), end, pid);
    if (parsed.ec != std::errc() || parsed.ptr != end) continue;
    if (ReadsFrom(entry.path(), fifo)) pids.push_back(pid);
  }
  return pids;
}

std::string ProcessTrouble(uint32_t pid) {
  switch (StateOf(pid)) {
    case '\0':
      return "gone";
    case 'T':
      return "stopped";
    case 't':
      return "held by a debugger";
    case 'Z':
      return "dead, and its parent has not noticed";
    case 'D':
      return "waiting for a device";
    default:
      return "";
  }
}

std::string CountText(uint64_t count, std::string_view what) {
  std::string digits = fmt::format("{}", count);
  for (size_t at = digits.size(); at > 3; at -= 3)
    digits.insert(at - 3, 1, ',');
  return fmt::format("{} {}{}", digits, what, count == 1 ? "" : "s");
}

std::string BytesText(uint64_t bytes) {
  if (bytes < 1000) return CountText(bytes, "byte");
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

std::string AgeText(uint64_t millis) {
  return absl::FormatDuration(millis < 10000 ? absl::Milliseconds(millis)
                                             : absl::Seconds(millis / 1000));
}

}  // namespace fifobus::cli
