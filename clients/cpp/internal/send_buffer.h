#ifndef FIFOBUS_CLIENTS_CPP_INTERNAL_SEND_BUFFER_H_
#define FIFOBUS_CLIENTS_CPP_INTERNAL_SEND_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fifobus {

// What a session leaves behind whose broker has gone.
struct Remains {
  // Whole frames of messages that the broker has not read, in order.
  std::string frames;
  uint64_t messages = 0;  // in `frames`
  // Messages that the broker had read in part, and that are not here whole.
  uint64_t lost = 0;
  // Whether it had read messages that it may not have passed on. Nobody knows
  // how many.
  bool unknown = false;
};

// What is to be written into `up`, and what was written and may not have been
// read. So that frames can be told apart in what is left in a pipe, and so that
// one of which the broker had read the beginning is still here.
//
//   |  blocks  |  kept  |  begun  |  unwritten  |
//
// Frames are added at the end. What is written stays where it is, so keeping it
// costs a message nothing. When 64 KiB have gathered they become a block, and
// the blocks that the broker has read are dropped.
//
// A large payload is written from its caller's memory and is not here: that is
// a hole. It can be filled with what is read back out of the pipe.
//
//   bytes of all blocks < what the pipe holds + kBlockBytes + the largest frame
//
// Thread-compatible.
class SendBuffer {
 public:
  // What a default pipe holds.
  static constexpr size_t kBlockBytes = size_t{64} << 10;

  enum class Keep { kUnread, kNothing };
  explicit SendBuffer(Keep keep) : keep_(keep) {}

  // For appending whole frames.
  std::string& bytes() { return bytes_; }
  std::string_view unwritten() const {
    return {bytes_.data() + written_, bytes_.size() - written_};
  }
  // Whether the front of what is unwritten is the rest of a frame.
  bool has_begun() const { return written_ > kept_; }

  void OnWritten(size_t bytes) { written_ += bytes; }
  // Of the payload that follows what is here. REQUIRES: nothing is unwritten.
  void OnHoleWritten(size_t bytes);
  // What is written ends with a whole frame.
  void OnAllWritten();
  // Whether it is time to Trim, which is so after OnAllWritten only.
  bool IsLong() const { return bytes_.size() + hole_bytes_ >= kBlockBytes; }
  // `unread` bytes are in the pipe.
  void Trim(size_t unread);
  // What is unwritten is not wanted. REQUIRES: it begins with a frame.
  void DropUnwritten();

  // Frames that are added from now on are their caller's until all is written:
  // if the session ends before, the caller still has them.
  void BeginCallers() { callers_ = bytes_.size(); }
  void EndCallers() { callers_ = kNone; }

  enum class Reading {
    kOver,    // nobody reads on
    kGoesOn,  // all that was written will be read and passed on
  };
  // The end of a session: what was read back out of the pipe, or nothing if
  // that failed or was not tried. Bytes that are not those that were written
  // count as nothing. Leaves the buffer empty.
  Remains Take(Reading reading, std::optional<std::string_view> unread);
  // More than this in the pipe is not from here.
  size_t written_bytes() const;
  void Clear();

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  // Bytes that were written and are not here, in front of the byte at `at`.
  struct Hole {
    size_t at;
    size_t bytes;
  };
  struct Block {
    std::string bytes;
    std::vector<Hole> holes;
    size_t hole_bytes;
    size_t size() const { return bytes.size() + hole_bytes; }
  };
  // All that is here in one piece, with zeroes for the holes.
  struct Stream {
    std::string bytes;
    std::vector<Hole> holes;  // `at`: in `bytes`, where it begins
    size_t written = 0;       // of `bytes`, from the front
    size_t callers = 0;       // from here on the caller has it
  };
  Stream TakeStream();
  static void Append(const Block& block, Stream& stream);
  // Fills holes. kForeign: something else was in the pipe.
  enum class Match { kSame, kForeign };
  [[nodiscard]] static Match Fill(std::string_view unread, Stream& stream);
  static Remains Sort(const Stream& stream, size_t read);

  const Keep keep_;
  std::deque<Block> blocks_;
  std::string bytes_;
  std::vector<Hole> holes_;  // of bytes_
  size_t hole_bytes_ = 0;
  size_t kept_ = 0;     // of bytes_
  size_t written_ = 0;  // of bytes_
  size_t callers_ = kNone;
  bool dropped_ = false;  // whether anything was, since it was read
  std::string spare_;     // memory of a block that was dropped
};

}  // namespace fifobus

#endif  // FIFOBUS_CLIENTS_CPP_INTERNAL_SEND_BUFFER_H_
