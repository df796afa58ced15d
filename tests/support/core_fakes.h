#ifndef FIFOBUS_TESTS_SUPPORT_CORE_FAKES_H_
#define FIFOBUS_TESTS_SUPPORT_CORE_FAKES_H_

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"
#include "broker/seam/sink.h"
#include "gtest/gtest.h"
#include "proto/frame.h"
#include "proto/frame.pb.h"
#include "proto/frame_writer.h"

// The core's neighbours at the seam, for tests without an operating system.
namespace fifobus {

// A subscriber's pipe with so much room.
class FakeSink : public Sink {
 public:
  SinkResult Write(absl::Span<const Slice> slices,
                   const Staged* staged) override {
    ++writes;
    if (staged != nullptr) ++staged_writes;
    SinkResult result;
    for (const Slice& slice : slices) {
      const size_t part = std::min(slice.size, room);
      written.append(slice.bytes, part);
      room -= part;
      result.bytes_taken += part;
      if (part < slice.size) {
        result.outcome =
            has_reader ? SinkOutcome::kWouldBlock : SinkOutcome::kNoReader;
        break;
      }
    }
    return result;
  }
  void StartStallClock() override { ++clocks_started; }
  Status status() const override { return {/*pipe_bytes=*/0, unread_bytes}; }
  void RequestEnd() override { ++ends_requested; }

  size_t room = SIZE_MAX;
  size_t unread_bytes = 0;  // of what was written
  bool has_reader = true;
  std::string written;
  int writes = 0;
  int staged_writes = 0;
  int clocks_started = 0;
  int ends_requested = 0;
};

// Remembers what was staged.
class FakeStaging : public Staging {
 public:
  const Staged* Load(absl::Span<const Slice> slices) override {
    EXPECT_FALSE(loaded);
    loaded = true;
    loads.emplace_back();
    for (const Slice& slice : slices) {
      loads.back().append(slice.bytes, slice.size);
    }
    return reinterpret_cast<const Staged*>(this);  // only sinks look into it
  }
  void Unload() override { loaded = false; }

  bool loaded = false;
  std::vector<std::string> loads;
};

class FakeValve : public Valve {
 public:
  void Pause() override { ++pauses; }
  void Resume() override { --pauses; }
  std::atomic<int> pauses = 0;
};

inline std::string MessageFrame(std::string_view topic,
                                std::string_view payload) {
  MessageFields fields;
  fields.topic = topic;
  fields.payload = payload;
  std::string frame;
  AppendMessageFrame(fields, frame);
  return frame;
}

inline std::string ControlFrame(const pb::Frame& frame) {
  std::string bytes;
  AppendFrame(frame, bytes);
  return bytes;
}

// The whole frames at the front of a subscriber's bytes; what is behind them is
// left in `rest`.
struct SplitFrames {
  std::vector<std::string> frames;
  std::string rest;
};
inline SplitFrames Split(std::string_view bytes) {
  SplitFrames split;
  while (true) {
    const FrameExtent extent = FindFrame(bytes, kFrameBytesMaxDefault);
    if (extent.state != FrameExtent::State::kWhole) break;
    split.frames.emplace_back(bytes.substr(0, extent.frame_bytes));
    bytes.remove_prefix(extent.frame_bytes);
  }
  split.rest = bytes;
  return split;
}

// The member of one frame, parsed; nothing if the frame is of another kind.
inline pb::Frame Parse(std::string_view frame) {
  pb::Frame parsed;
  (void)parsed.ParseFromArray(
      frame.data() + kFramePrefixBytes,
      static_cast<int>(frame.size() - kFramePrefixBytes));
  return parsed;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_CORE_FAKES_H_
