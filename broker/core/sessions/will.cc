#include "broker/core/sessions/will.h"

#include <string>
#include <string_view>
#include <utility>

#include "broker/base/check.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

FrameFault FaultOf(std::string_view frame, size_t frame_bytes_max) {
  if (frame.size() - kFramePrefixBytes > frame_bytes_max) {
    return FrameFault::kTooLarge;
  }
  const MessageView message = ReadMessageFrame(frame);
  if (message.fault != FrameFault::kNone) return message.fault;
  switch (CheckTopicToPublish(message.topic)) {
    case TopicFault::kNone:
      return FrameFault::kNone;
    case TopicFault::kReserved:
      return FrameFault::kReservedTopic;
    default:
      return FrameFault::kBadTopic;
  }
}

}  // namespace

// The client has sent the will inside its Hello. It is encoded anew here in the
// order of the fields, so that the topic comes first.
FrameFault Will::Set(const pb::Message& message, size_t frame_bytes_max) {
  if (message.topic().empty()) return FrameFault::kBadTopic;
  pb::Frame frame;
  *frame.mutable_message() = message;
  // The session that could be told is over by then.
  frame.mutable_message()->clear_confirm_id();
  std::string bytes;
  AppendFrame(frame, bytes);
  const FrameFault fault = FaultOf(bytes, frame_bytes_max);
  if (fault != FrameFault::kNone) return fault;
  frame_ = Chunk::CopyOf(bytes);
  return FrameFault::kNone;
}

bool Will::IsAllowed(const TopicRules& rules, uint32_t uid) const {
  const Principals* publishers =
      rules.PublishersOf(ReadMessageFrame(frame_->view()).topic);
  return publishers == nullptr || publishers->Contains(uid);
}

void Will::Publish(Router& router, const std::shared_ptr<Valve>& valve,
                   PublisherId publisher) {
  const ChunkRef chunk = std::exchange(frame_, ChunkRef());
  router.Begin(chunk, valve, publisher);
  const Router::Outcome outcome =
      router.Add(chunk->view(), ReadMessageFrame(chunk->view()));
  FIFOBUS_CHECK(outcome == Router::Outcome::kRouted ||
                outcome == Router::Outcome::kDenied);
  router.Flush();
}

}  // namespace fifobus
