#include "clients/cpp/internal/group_leave.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/internal/connection.h"
#include "clients/cpp/internal/frame_walk.h"
#include "clients/cpp/internal/subscriptions.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

using Patterns = std::vector<std::string>;

bool MatchesAny(const Patterns& patterns, std::string_view topic) {
  return std::any_of(
      patterns.begin(), patterns.end(),
      [topic](const std::string& pattern) { return Matches(pattern, topic); });
}

uint64_t CountMessages(std::string_view frames, const Patterns& shared,
                       const Patterns& own) {
  uint64_t count = 0;
  ForEachFrame(frames, [&](const FrameView& view) {
    if (view.kind != FrameKind::kMessage) return;
    const std::string_view topic = ReadMessage(view.member).topic;
    if (MatchesAny(shared, topic) && !MatchesAny(own, topic)) ++count;
  });
  return count;
}

}  // namespace

uint64_t LeaveGroups(Dialogue& dialogue, Deadline deadline) {
  Patterns shared;
  Patterns own;
  std::vector<Subscriptions::Subscription> left;
  for (const auto& subscription : dialogue.subscriptions().all()) {
    if (subscription.options.group.empty()) {
      own.push_back(subscription.pattern);
    } else if (!subscription.options.acks) {
      shared.push_back(subscription.pattern);
      left.push_back(subscription);
    }
  }
  for (const auto& subscription : left) {
    pb::Frame frame;
    const uint64_t id = dialogue.NextId();
    frame.mutable_unsubscribe()->set_request_id(id);
    frame.mutable_unsubscribe()->set_pattern(subscription.pattern);
    frame.mutable_unsubscribe()->set_group(subscription.options.group);
    (void)dialogue.Ask(frame, id, deadline.Rest(), "the answer to Unsubscribe");
  }
  return CountMessages(dialogue.connection().in().untaken(), shared, own);
}

}  // namespace fifobus
