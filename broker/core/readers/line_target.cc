#include "broker/core/readers/line_target.h"

#include <algorithm>

#include "broker/core/delivery/unit_cursor.h"
#include "broker/core/readers/message_filter.h"
#include "proto/expiry.h"
#include "proto/frame.h"
#include "proto/message_text.h"

namespace fifobus {
namespace {

// Text that is made before it is written: as much as a pipe takes. Not tuned.
constexpr size_t kTextBytes = size_t{64} << 10;

}  // namespace

size_t LineTarget::Offer(absl::Span<const Slice> slices) {
  UnitCursor cursor(slices);
  while (!cursor.done() && rest_bytes() == 0) {
    text_.clear();
    lines_.clear();
    for (UnitCursor at = cursor; !at.done() && text_.size() < kTextBytes;
         at.Advance()) {
      AddLine(at.unit());
    }
    const size_t passed = WriteText();
    for (size_t i = 0; i < passed; ++i) cursor.Advance();
    if (passed < lines_.size()) break;
  }
  return cursor.bytes_passed();
}

void LineTarget::AddLine(const MessageUnit& unit) {
  Line line;
  line.begin = written_ + text_.size();
  if (unit.is_message()) {
    const MessageView message = unit.Read();
    line.offset = StoredOffset(unit.bytes);
    line.expired = IsExpired(message.expiry_unix_nanos);
    if (!line.expired) AppendPlainText(message, text_);
  }
  line.end = written_ + text_.size();
  lines_.push_back(line);
}

size_t LineTarget::WriteText() {
  const uint64_t begin = written_;
  if (!text_.empty()) {
    const Slice slice{text_.data(), text_.size()};
    written_ += sink_.Write({&slice, 1}, nullptr).bytes_taken;
  }
  size_t passed = 0;
  uint64_t at = begin;
  for (; passed < lines_.size(); ++passed) {
    const Line& line = lines_[passed];
    if (line.end > line.begin) {
      if (at >= written_) break;
      unread_.push_back(line);
      at = line.end;
      ++messages_written_;
    } else if (line.expired) {
      counters_.messages_expired.Add();
    }
  }
  if (at > written_) {
    rest_ = text_.substr(written_ - begin, at - written_);
    rest_written_ = 0;
  }
  return passed;
}

void LineTarget::OnRoom() {
  if (rest_bytes() == 0) return;
  const Slice slice{rest_.data() + rest_written_, rest_bytes()};
  const size_t taken = sink_.Write({&slice, 1}, nullptr).bytes_taken;
  written_ += taken;
  rest_written_ += taken;
  if (rest_bytes() == 0) DropRest();
}

void LineTarget::DropRest() {
  rest_ = std::string();
  rest_written_ = 0;
}

std::optional<LineTarget::Unread> LineTarget::FindUnread(size_t unread_bytes) {
  const uint64_t read = written_ - std::min<uint64_t>(unread_bytes, written_);
  while (!unread_.empty() && unread_.front().end <= read) unread_.pop_front();
  if (unread_.empty()) return std::nullopt;
  return Unread{unread_.front().offset, unread_.front().begin < read};
}

pb::state::LineTarget LineTarget::Export() const {
  pb::state::LineTarget state;
  state.set_written(written_);
  state.set_messages_written(messages_written_);
  for (const Line& line : unread_) {
    pb::state::LineTarget::Line& one = *state.add_unread();
    one.set_begin(line.begin);
    one.set_end(line.end);
    one.set_offset(line.offset);
  }
  state.set_rest(rest_.data() + rest_written_, rest_bytes());
  return state;
}

void LineTarget::Restore(const pb::state::LineTarget& state) {
  written_ = state.written();
  messages_written_ = state.messages_written();
  for (const pb::state::LineTarget::Line& line : state.unread()) {
    unread_.push_back({line.begin(), line.end(), line.offset()});
  }
  rest_ = state.rest();
}

void LineTarget::Repeat(uint64_t offset) {
  for (Line& line : unread_) line.offset = offset;
}

void LineTarget::Forget() {
  unread_.clear();
  DropRest();
}

}  // namespace fifobus
