#ifndef FIFOBUS_CLIENTS_CLI_CONFORMANCE_BUS_H_
#define FIFOBUS_CLIENTS_CLI_CONFORMANCE_BUS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "clients/cli/conformance/client.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {

// The broker's ends of one session's pipes, byte by byte. Thread-compatible.
class ConformanceSession {
 public:
  ConformanceSession(UniqueFd up, UniqueFd up_writer, UniqueFd down);

  // The next frame, parsed; the error says what came instead.
  absl::StatusOr<pb::Frame> Read();
  // That, and it is the member that `has` asks for.
  absl::StatusOr<pb::Frame> Read(bool (pb::Frame::*has)() const,
                                 std::string_view name);
  // OK if the client writes nothing for so long.
  absl::Status ExpectSilence(absl::Duration duration);
  // OK when the client has closed `up`, after whole frames.
  absl::Status ExpectEnd();

  absl::Status Write(std::string_view bytes);
  absl::Status Write(const pb::Frame& frame);
  // Answers Hello.
  absl::Status Welcome(uint32_t frame_bytes_max = 0);
  // Reads Subscribe and answers it.
  absl::StatusOr<pb::Subscribe> Subscribed();

  // What each Ping is answered with, by calls that read; at first that all was
  // accepted.
  void SetPong(const pb::Pong& pong) { pong_ = pong; }
  const pb::Ping& last_ping() const { return last_ping_; }

  // Whether the client itself still has `up` open for reading.
  bool ClientReadsUp();
  void CloseUp() { up_.Reset(); }
  void CloseDown() { down_.Reset(); }
  // The whole of the frame that Read returned last, with its prefix.
  std::string_view frame() const { return frame_; }

 private:
  // The next frame, whatever it is.
  absl::StatusOr<pb::Frame> ReadNext();
  absl::Status Answer(const pb::Ping& ping);
  enum class Fill { kBytes, kNothing, kEnd };
  Fill FillUntil(absl::Duration deadline);

  UniqueFd up_;
  UniqueFd up_writer_;  // only to see whether anybody reads `up`
  UniqueFd down_;
  std::string received_;
  std::string frame_;
  pb::Pong pong_;
  pb::Ping last_ping_;
};

// A bus directory without a broker behind it, removed at the end. The
// environment's FIFOBUS_DIR names it. Thread-compatible.
class ConformanceBus {
 public:
  ConformanceBus();
  ~ConformanceBus();
  ConformanceBus(const ConformanceBus&) = delete;
  ConformanceBus& operator=(const ConformanceBus&) = delete;

  const std::string& dir() const { return dir_; }
  // The directory comes into being, and `alive` with it; again after Die.
  absl::Status Live();
  void Die() { alive_.Reset(); }

  // A pair that a client has offered, its names not yet removed. The error says
  // which rule of the handshake it broke: H1, H2 or H3.
  struct Offer {
    std::string id;
    mode_t down_mode = 0;
    mode_t up_mode = 0;
    // What inotify saw, in order: "create .ID.up", "move ID.up".
    std::string events;
  };
  absl::StatusOr<Offer> AwaitOffer(absl::Duration patience = kPatience);
  // Opens both ends and removes the names.
  absl::StatusOr<ConformanceSession> Take(const Offer& offer);
  // Both, and Hello: the session up to where Welcome is due.
  absl::StatusOr<ConformanceSession> Greet();

 private:
  // Of a path below the directory.
  std::string PathOf(std::string_view path) const;

  std::string dir_;
  UniqueFd alive_;
  UniqueFd watch_;
  std::string events_;
};

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_CONFORMANCE_BUS_H_
