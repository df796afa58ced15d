#include "clients/cpp/internal/send_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/frame.h"

namespace fifobus {

void SendBuffer::OnHoleWritten(size_t bytes) {
  if (holes_.empty() || holes_.back().at != bytes_.size()) {
    holes_.push_back({bytes_.size(), 0});
  }
  holes_.back().bytes += bytes;
  hole_bytes_ += bytes;
}

void SendBuffer::OnAllWritten() {
  callers_ = kNone;
  kept_ = written_;
  if (keep_ == Keep::kNothing) Clear();
}

void SendBuffer::Trim(size_t unread) {
  size_t bytes = written_bytes();
  while (!blocks_.empty() && bytes - blocks_.front().size() >= unread) {
    bytes -= blocks_.front().size();
    spare_ = std::move(blocks_.front().bytes);
    blocks_.pop_front();
    dropped_ = true;
  }
  if (unread == 0) {
    dropped_ = true;
    bytes_.clear();
  } else {
    blocks_.push_back({std::move(bytes_), std::move(holes_), hole_bytes_});
    bytes_ = std::move(spare_);
    bytes_.clear();
    spare_.clear();
  }
  holes_.clear();
  hole_bytes_ = kept_ = written_ = 0;
}

void SendBuffer::DropUnwritten() {
  callers_ = kNone;
  bytes_.resize(written_);
}

size_t SendBuffer::written_bytes() const {
  size_t bytes = written_ + hole_bytes_;
  for (const Block& block : blocks_) bytes += block.size();
  return bytes;
}

void SendBuffer::Clear() {
  blocks_.clear();
  bytes_.clear();
  holes_.clear();
  hole_bytes_ = kept_ = written_ = 0;
  callers_ = kNone;
  dropped_ = false;
}

Remains SendBuffer::Take(Reading reading,
                         std::optional<std::string_view> unread) {
  const bool dropped = dropped_;
  Stream stream = TakeStream();
  size_t read = stream.written;
  if (unread && Fill(*unread, stream) == Match::kSame) read -= unread->size();
  Remains remains = Sort(stream, read);
  remains.unknown |= dropped;
  if (reading == Reading::kGoesOn) remains.unknown = false;
  return remains;
}

SendBuffer::Stream SendBuffer::TakeStream() {
  Stream stream;
  for (const Block& block : blocks_) Append(block, stream);
  const size_t before = stream.bytes.size();
  stream.written = before + written_ + hole_bytes_;
  stream.callers = callers_ == kNone ? kNone : before + callers_;
  for (const Hole& hole : holes_) {
    if (callers_ != kNone && hole.at <= callers_) stream.callers += hole.bytes;
  }
  Append({std::move(bytes_), std::move(holes_), hole_bytes_}, stream);
  Clear();
  return stream;
}

void SendBuffer::Append(const Block& block, Stream& stream) {
  size_t from = 0;
  for (const Hole& hole : block.holes) {
    stream.bytes.append(block.bytes, from, hole.at - from);
    from = hole.at;
    stream.holes.push_back({stream.bytes.size(), hole.bytes});
    stream.bytes.append(hole.bytes, '\0');
  }
  stream.bytes.append(block.bytes, from, std::string::npos);
}

SendBuffer::Match SendBuffer::Fill(std::string_view unread, Stream& stream) {
  if (unread.size() > stream.written) return Match::kForeign;
  const size_t read = stream.written - unread.size();
  // Two passes, so that nothing is filled in if anything is foreign.
  for (const bool fills : {false, true}) {
    size_t at = read;
    const auto same_up_to = [&](size_t end) {
      const size_t bytes = std::max(end, at) - at;
      const bool same = std::memcmp(stream.bytes.data() + at,
                                    unread.data() + (at - read), bytes) == 0;
      at += bytes;
      return same;
    };
    for (const Hole& hole : stream.holes) {
      const size_t end = hole.at + hole.bytes;
      if (end <= at) continue;
      if (!fills && !same_up_to(hole.at)) return Match::kForeign;
      at = std::max(at, hole.at);
      if (fills) {
        std::memcpy(stream.bytes.data() + at, unread.data() + (at - read),
                    end - at);
      }
      at = end;
    }
    if (!fills && !same_up_to(stream.written)) return Match::kForeign;
  }
  return Match::kSame;
}

// Frames up to `read` were read whole, or are known to be in the pipe no more.
Remains SendBuffer::Sort(const Stream& stream, size_t read) {
  Remains remains;
  const std::string_view bytes =
      std::string_view(stream.bytes).substr(0, stream.callers);
  auto hole = stream.holes.begin();
  size_t begin = 0;
  while (begin < bytes.size()) {
    // These lengths are the client's own.
    const FrameExtent extent = FindFrame(bytes.substr(begin), kNone);
    if (extent.state != FrameExtent::State::kWhole) break;
    const size_t end = begin + extent.frame_bytes;
    while (hole != stream.holes.end() && hole->at < begin) ++hole;
    const bool cut =
        hole != stream.holes.end() && hole->at < end && hole->at < read;
    const std::string_view frame = bytes.substr(begin, end - begin);
    const FrameView view = ReadWholeFrame(frame);
    begin = end;
    if (view.fault != FrameFault::kNone || view.kind != FrameKind::kMessage) {
      continue;
    }
    if (end <= read) {
      remains.unknown = true;
    } else if (cut) {
      ++remains.lost;
    } else {
      remains.frames.append(frame);
      ++remains.messages;
    }
  }
  return remains;
}

}  // namespace fifobus
