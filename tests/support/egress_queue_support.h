#ifndef FIFOBUS_TESTS_SUPPORT_EGRESS_QUEUE_SUPPORT_H_
#define FIFOBUS_TESTS_SUPPORT_EGRESS_QUEUE_SUPPORT_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/delivery/egress_queue.h"
#include "gtest/gtest.h"
#include "tests/support/core_fakes.h"

// Puts things into an EgressQueue and takes them out as a pipe would.
namespace fifobus {

inline void Push(EgressQueue& queue, QueuedAs as, const std::string& bytes,
                 size_t written = 0, uint64_t expiry_unix_nanos = 0) {
  const ChunkRef chunk = Chunk::CopyOf(bytes);
  Slice slice = {chunk->bytes(), bytes.size(), expiry_unix_nanos};
  if (as == QueuedAs::kFrames) {
    const size_t frames = Split(bytes).frames.size();
    slice.messages = static_cast<uint32_t>(std::max<size_t>(1, frames));
  }
  queue.Push(as, chunk, slice, written);
}

inline std::string ExpiringFrame(std::string_view topic,
                                 std::string_view payload,
                                 uint64_t expiry_unix_nanos) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  fields.expiry_unix_nanos = expiry_unix_nanos;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

// What a subscriber sees: "topic=payload", or "-REASON messages".
inline std::vector<std::string> Events(std::string_view stream) {
  std::vector<std::string> events;
  const SplitFrames split = Split(stream);
  EXPECT_EQ(split.rest, "");
  for (const std::string& frame : split.frames) {
    const pb::Frame parsed = Parse(frame);
    if (parsed.has_message()) {
      events.push_back(parsed.message().topic() + "=" +
                       parsed.message().payload());
    } else if (parsed.has_gap()) {
      events.push_back("-" + pb::Gap::Reason_Name(parsed.gap().reason()) + " " +
                       std::to_string(parsed.gap().messages()));
    }
  }
  return events;
}

// Takes up to `limit` bytes out of the queue, as a pipe would.
inline std::string Take(EgressQueue& queue, size_t limit = SIZE_MAX) {
  std::string taken;
  while (!queue.empty() && taken.size() < limit) {
    std::array<Slice, 3> slices;
    const size_t count = queue.Peek(absl::MakeSpan(slices));
    size_t step = 0;
    for (size_t i = 0; i < count && taken.size() < limit; ++i) {
      const size_t part = std::min(slices[i].size, limit - taken.size());
      taken.append(slices[i].bytes, part);
      step += part;
    }
    queue.Consume(step);
  }
  return taken;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_EGRESS_QUEUE_SUPPORT_H_
