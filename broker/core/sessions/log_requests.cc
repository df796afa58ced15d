#include "broker/core/sessions/log_requests.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "broker/base/log.h"
#include "broker/core/logs/durable_reader.h"
#include "broker/core/sessions/answers.h"
#include "broker/core/sessions/log_stats.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

using ChangeOutcome = ReaderTable::ChangeOutcome;
using OpenOutcome = ReaderTable::OpenOutcome;

bool IsReaderName(std::string_view name) {
  return CheckTopic(name) == TopicFault::kNone && !IsReserved(name) &&
         name.find('/') == std::string_view::npos;
}

// One request to one log. Used once.
class LogRequestTurn {
 public:
  LogRequestTurn(const pb::LogRequest& request, const std::string& pattern,
                 ServedLog& log)
      : request_(request), pattern_(pattern), log_(log) {}

  pb::Frame Answer() {
    switch (request_.action_case()) {
      case pb::LogRequest::kSeek:
        return Seek(request_.seek());
      case pb::LogRequest::kTrim:
        return Trim(request_.trim());
      case pb::LogRequest::kForget:
        return Forget(request_.forget().durable());
      case pb::LogRequest::ACTION_NOT_SET:
        break;
    }
    return Refuse(pb::Error::CODE_BAD_FRAME,
                  "the request names no action: seek, trim or forget");
  }

  pb::Frame Refuse(pb::Error::Code code, std::string text) const {
    pb::Frame frame;
    frame.mutable_error()->set_code(code);
    frame.mutable_error()->set_text(std::move(text));
    frame.mutable_error()->set_request_id(request_.request_id());
    return frame;
  }

 private:
  pb::Frame Done() const {
    pb::Frame frame;
    frame.mutable_log_reply()->set_request_id(request_.request_id());
    *frame.mutable_log_reply()->mutable_log() = DescribeLog(pattern_, log_);
    return frame;
  }

  // Nothing: refusal_ says why.
  std::optional<uint64_t> Find(const pb::Start& place) {
    const DurableLog& log = log_.log();
    const uint64_t first = log.first_offset();
    const uint64_t next = log.next_offset();
    switch (place.at_case()) {
      case pb::Start::kFirst:
        return first;
      case pb::Start::kNext:
        return next;
      case pb::Start::kLast:
        return next - std::min(place.last(), next - first);
      case pb::Start::kOffset:
        if (place.offset() >= 1 && place.offset() <= next) {
          return place.offset();
        }
        refusal_ = Refuse(
            pb::Error::CODE_BAD_START,
            fmt::format("offset {} is not in the log {}, whose next one is {}",
                        place.offset(), log_.name(), next));
        return std::nullopt;
      case pb::Start::kTimeUnixNanos:
        return FindTime(place.time_unix_nanos());
      case pb::Start::AT_NOT_SET:
        break;
    }
    refusal_ = Refuse(pb::Error::CODE_BAD_START, "the place is none");
    return std::nullopt;
  }

  std::optional<uint64_t> FindTime(uint64_t unix_nanos) {
    const auto offset = log_.log().FindOffset(
        absl::FromUnixNanos(static_cast<int64_t>(std::min<uint64_t>(
            unix_nanos, std::numeric_limits<int64_t>::max()))));
    if (!offset) {
      refusal_ = Refuse(pb::Error::CODE_LOG_FAILED,
                        fmt::format("the log {} could not be read; the "
                                    "broker's log says why",
                                    log_.name()));
    }
    return offset;
  }

  pb::Frame Seek(const pb::LogRequest::Seek& seek) {
    if (!IsReaderName(seek.durable())) {
      return Refuse(pb::Error::CODE_BAD_DURABLE,
                    fmt::format("\"{}\": a durable reader's name is one level "
                                "of a topic",
                                seek.durable()));
    }
    const std::optional<uint64_t> offset = Find(seek.start());
    if (!offset) return refusal_;
    const ChangeOutcome outcome = log_.readers().Seek(seek.durable(), *offset);
    if (outcome == ChangeOutcome::kInUse) return RefuseInUse(seek.durable());
    if (outcome == ChangeOutcome::kUnknown) return Make(seek, *offset);
    LogInfo("durable reader moved", {{"log", log_.name()},
                                     {"reader", seek.durable()},
                                     {"position", *offset}});
    return Done();
  }

  pb::Frame Make(const pb::LogRequest::Seek& seek, uint64_t offset) {
    const std::string& pattern =
        seek.pattern().empty() ? pattern_ : seek.pattern();
    if (pattern.empty()) {
      return Refuse(pb::Error::CODE_BAD_DURABLE,
                    fmt::format("the log {} has no durable reader \"{}\"; to "
                                "make it, name its pattern",
                                log_.name(), seek.durable()));
    }
    const TopicFault fault = CheckPattern(pattern);
    if (fault != TopicFault::kNone) {
      return Refuse(pb::Error::CODE_BAD_PATTERN,
                    fmt::format("the pattern {}", PatternFaultText(fault)));
    }
    if (!pattern_.empty() && !Covers(pattern_, pattern)) {
      return Refuse(pb::Error::CODE_NO_LOG,
                    fmt::format("the log {} stores {}, and not all of {}",
                                log_.name(), pattern_, pattern));
    }
    const ReaderTable::Opened opened =
        log_.readers().Open(seek.durable(), pattern, /*group=*/"", offset);
    if (opened.outcome == OpenOutcome::kTooMany) {
      return Refuse(pb::Error::CODE_LIMIT,
                    fmt::format("the log {} has as many durable readers as it "
                                "may; forget one",
                                log_.name()));
    }
    return Done();
  }

  pb::Frame Trim(const pb::LogRequest::Trim& trim) {
    pb::Start place = trim.before();
    if (!trim.has_before()) place.set_offset(trim.first_offset());
    const std::optional<uint64_t> offset = Find(place);
    if (!offset) return refusal_;
    log_.log().Trim(*offset);
    LogInfo("log trimmed", {{"log", log_.name()},
                            {"before", *offset},
                            {"first", log_.log().first_offset()}});
    return Done();
  }

  pb::Frame Forget(const std::string& name) {
    switch (log_.readers().Forget(name)) {
      case ChangeOutcome::kDone:
        return Done();
      case ChangeOutcome::kInUse:
        return RefuseInUse(name);
      case ChangeOutcome::kUnknown:
        break;
    }
    std::vector<std::string> names;
    for (const auto& reader : log_.readers().List()) {
      names.push_back(reader->name());
    }
    return Refuse(
        pb::Error::CODE_BAD_DURABLE,
        fmt::format("the log {} has no durable reader \"{}\"; {}", log_.name(),
                    name,
                    names.empty() ? "it has none"
                                  : "it has " + absl::StrJoin(names, ", ")));
  }

  pb::Frame RefuseInUse(const std::string& name) const {
    std::string users = "its group or a tap";
    if (const auto reader = log_.readers().Find(name)) {
      const std::vector<uint64_t> sessions = reader->sessions();
      if (!sessions.empty()) users = "session " + absl::StrJoin(sessions, ", ");
    }
    return Refuse(pb::Error::CODE_BAD_DURABLE,
                  fmt::format("the durable reader {} is in use by {}; end that "
                              "first",
                              name, users));
  }

  const pb::LogRequest& request_;
  const std::string& pattern_;
  ServedLog& log_;
  pb::Frame refusal_;
};

// The pattern that the user must be allowed to subscribe to.
std::string PatternAskedFor(const pb::LogRequest& request,
                            const LogTable::Entry& entry) {
  const std::string& name = request.has_seek() ? request.seek().durable()
                                               : request.forget().durable();
  if (const auto reader = entry.log->readers().Find(name)) {
    return reader->pattern();
  }
  return entry.pattern;
}

}  // namespace

pb::Frame AnswerLogRequest(const pb::LogRequest& request,
                           const std::string& pattern, ServedLog& log) {
  return LogRequestTurn(request, pattern, log).Answer();
}

pb::Frame AnswerLogRequest(const pb::LogRequest& request, uint32_t uid,
                           const SubscriptionSnapshot& snapshot) {
  for (const LogTable::Entry& entry : snapshot.logs().entries()) {
    if (entry.log->name() != request.log()) continue;
    LogRequestTurn turn(request, entry.pattern, *entry.log);
    if (request.has_trim()) {
      if (uid != 0 && uid != geteuid()) {
        return turn.Refuse(pb::Error::CODE_DENIED,
                           "only the broker's user and root may trim a log");
      }
    } else {
      const std::string pattern = PatternAskedFor(request, entry);
      if (!snapshot.rules().MaySubscribe(uid, pattern)) {
        return turn.Refuse(pb::Error::CODE_DENIED,
                           DeniedText(uid, "subscribe to", pattern));
      }
    }
    return turn.Answer();
  }
  pb::Frame frame;
  frame.mutable_error()->set_code(pb::Error::CODE_NO_LOG);
  frame.mutable_error()->set_text(
      fmt::format("the broker serves no log \"{}\"; its logs are: {}",
                  request.log(), snapshot.logs().Text()));
  frame.mutable_error()->set_request_id(request.request_id());
  return frame;
}

}  // namespace fifobus
