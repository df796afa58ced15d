#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_RECEIVE_BUFFER_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_RECEIVE_BUFFER_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "proto/repeated_message.h"

namespace fifobus {

// What was read from `down` and not taken yet, in one piece, so that frames are
// decoded in place. Grows with the largest frame and with what is read ahead,
// up to a bound.
//
//   |  released  |  taken  |  kept  |  hole  |  not scanned  |  room  |
//
// Scanning looks ahead for answers without taking the messages before them: a
// frame is kept, to be taken later, or dropped, which leaves a hole until the
// scan ends. So answers take no room, whatever the caller does. What is taken
// stays where it is until it is released, whatever is read meanwhile.
//
//   released <= taken <= kept <= scanned <= end
//
// Thread-compatible.
class ReceiveBuffer {
 public:
  // `bytes_max` bounds what is read ahead; one frame may always be completed.
  explicit ReceiveBuffer(size_t bytes_max) : bytes_max_(bytes_max) {}

  enum class FillOutcome {
    kBytes,
    kEmpty,  // the pipe has writers and nothing to read
    kEnd,    // the pipe has no writer
    kFull,   // bytes_max is reached; nothing was read
  };
  // Reads once from `fd`, which must be non-blocking. Views of what is not
  // taken end.
  [[nodiscard]] FillOutcome Fill(int fd);

  // REQUIRES: no scan is going on.
  std::string_view untaken() const { return {at(taken_), end_ - taken_}; }
  // What was scanned and not taken.
  std::string_view kept() const {
    return {at(taken_), HasKept() ? kept_ - taken_ : 0};
  }
  std::string_view unscanned() const { return {at(scanned_), end_ - scanned_}; }
  // Whether frames were scanned that are not taken.
  bool HasKept() const { return kept_ > taken_; }

  // Recognises repetitions among the messages taken since the last Fill.
  RepeatedMessage& repeated() { return repeated_; }

  bool full() const {
    const size_t held = end_ - taken_;
    return held >= bytes_max_ && held >= wanted_;
  }

  // Each scans a frame of that many bytes, which must be there. Views of a
  // dropped frame are valid until the next Keep and EndScan.
  void Keep(size_t bytes);
  void Drop(size_t bytes) { scanned_ += bytes; }
  // Closes the hole.
  void EndScan();
  // What is not scanned, and what is not read yet, will never be wanted.
  void DropUnscanned();
  // What is taken counts as scanned. Views of it stay valid until Release.
  void Take(size_t bytes);
  void Release() {
    released_ = taken_;
    if (retired_) retired_.reset();
  }

  // The frame at the end of the buffer needs this many bytes in all: makes Fill
  // read on although bytes_max is reached.
  void Want(size_t frame_bytes) { wanted_ = frame_bytes; }

  void Clear();

 private:
  const char* at(size_t offset) const { return bytes_.get() + offset; }
  char* at(size_t offset) { return bytes_.get() + offset; }
  void MakeRoom();
  void Retire();

  const size_t bytes_max_;
  std::unique_ptr<char[]> bytes_;
  // What bytes_ was when something was taken that is not released.
  std::unique_ptr<char[]> retired_;
  size_t capacity_ = 0;
  size_t released_ = 0;
  size_t taken_ = 0;
  size_t kept_ = 0;
  size_t scanned_ = 0;
  size_t end_ = 0;
  size_t wanted_ = 0;
  RepeatedMessage repeated_;
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_RECEIVE_BUFFER_H_
