#include "broker/core/sessions/will.h"

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "broker/base/check.h"
#include "proto/frame_writer.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

MessageView ReadWill(std::string_view frame) { return ReadMessageFrame(frame); }

FrameFault FaultOf(std::string_view frame, size_t frame_bytes_max) {
  if (frame.size() - kFramePrefixBytes > frame_bytes_max) {
    return FrameFault::kTooLarge;
  }
  const MessageView message = ReadWill(frame);
  if (message.fault != FrameFault::kNone) return message.fault;
  if (CheckTopic(message.topic) != TopicFault::kNone) {
    return FrameFault::kBadTopic;
  }
  return IsReserved(message.topic) ? FrameFault::kReservedTopic
                                   : FrameFault::kNone;
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
  frame_ = Chunk::Make(bytes.size());
  std::memcpy(frame_->bytes(), bytes.data(), bytes.size());
  return FrameFault::kNone;
}

bool Will::IsAllowed(const TopicRules& rules, uint32_t uid) const {
  const std::string_view frame(frame_->bytes(), frame_->capacity());
  const Principals* publishers = rules.PublishersOf(ReadWill(frame).topic);
  return publishers == nullptr || publishers->Contains(uid);
}

void Will::Publish(Router& router, const std::shared_ptr<Valve>& feeder,
                   Publisher publisher) {
  const ChunkRef chunk = std::exchange(frame_, ChunkRef());
  const std::string_view frame(chunk->bytes(), chunk->capacity());
  router.Begin(chunk, feeder, publisher);
  const Router::Verdict verdict = router.Add(frame, ReadWill(frame));
  FIFOBUS_CHECK(verdict == Router::Verdict::kRouted ||
                verdict == Router::Verdict::kDenied);
  router.Flush();
}

}  // namespace fifobus
