#ifndef FIFOBUS_BROKER_SEAM_FEED_H_
#define FIFOBUS_BROKER_SEAM_FEED_H_

#include <cstddef>
#include <string_view>

#include "broker/seam/chunk.h"

// The seam between the two halves of the broker, upwards: an ingress pipe reads
// chunks and passes them to a feed, which knows what the bytes mean; the core
// holds an ingress back through its valve. sink.h is the seam downwards.
namespace fifobus {

enum class FeedOutcome {
  kContinue,
  kClose,  // read no more from this ingress
};

struct [[nodiscard]] FeedResult {
  FeedOutcome outcome = FeedOutcome::kContinue;
  // How many of the bytes, from the front, are dealt with. The rest is passed
  // again, at the front of the next chunk.
  size_t bytes_taken = 0;
  // How many bytes, counted from the first that was not taken, make progress
  // possible; 0 = one more byte may do. Lets the ingress size its buffer.
  size_t bytes_wanted = 0;
};

// What becomes of an ingress's bytes. Worker-affine: called on the thread of
// the worker that owns the ingress.
class Feed {
 public:
  virtual ~Feed() = default;

  // Whether the ingress may be read now. Asked before each read, and only if
  // the ingress is gated and has something to read. After "no" the ingress
  // rests until more bytes arrive or until its Nudge is called.
  enum class Admission { kRead, kRest };
  virtual Admission Admit(size_t unread_bytes, size_t pipe_bytes) {
    (void)unread_bytes;
    (void)pipe_bytes;
    return Admission::kRead;
  }

  // `bytes` lie in `chunk`; both may be kept by holding the chunk. The feed may
  // pause the ingress's valve meanwhile: it is obeyed before the next read.
  virtual FeedResult OnBytes(const ChunkRef& chunk, std::string_view bytes) = 0;

  // The ingress rests, and no writer is left. So the unread bytes end with the
  // end of what one of them wrote.
  virtual void OnWritersLeft(size_t unread_bytes) { (void)unread_bytes; }

  // No writer is left and the pipe is empty. `rest` was read and never taken.
  // kContinue keeps the ingress for later writers.
  virtual FeedOutcome OnHangUp(std::string_view rest) = 0;

  // The ingress gives up: `rest` bytes of something half-received may be kept
  // no longer, because all ingresses together hold too much of it. Then it
  // closes.
  virtual void OnHalfReceivedLimit() = 0;
};

// Holds an ingress back. Thread-safe. Pauses nest: reading goes on after as
// many Resumes as Pauses. A pause is obeyed before the next read, which is one
// chunk of overshoot at most.
class Valve {
 public:
  virtual ~Valve() = default;
  virtual void Pause() = 0;
  virtual void Resume() = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_SEAM_FEED_H_
