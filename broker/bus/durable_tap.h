#ifndef FIFOBUS_BROKER_BUS_DURABLE_TAP_H_
#define FIFOBUS_BROKER_BUS_DURABLE_TAP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/bus_parts.h"
#include "broker/core/logs/durable_reader.h"
#include "broker/core/logs/log_watch.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/readers/line_target.h"
#include "broker/core/readers/log_cursor.h"
#include "broker/io/egress_pipe.h"
#include "broker/io/event_loop.h"
#include "broker/io/name_state.h"
#include "broker/io/worker.h"
#include "broker/seam/sink.h"
#include "broker/state/delivery_state.pb.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// Whether a FIFO of this name in a `.out/` is a durable tap.
bool IsDurableTap(const std::string& path);

// A FIFO NAME.durable in a topic's `.out/`: the durable reader NAME of the log
// that stores the topic. It is read while somebody has the FIFO open, one line
// a message, and is done with the messages whose every byte was read out of the
// pipe.
//
// When its last reader leaves, what it has not read is taken out of the pipe and
// comes again, beginning with the message that it has read in part. If another
// one has opened the FIFO before that was seen, it gets the rest of that message
// first, and the whole behind what is in the pipe. The position is noted when
// the pipe has room again, when readers leave, at the end, and by a timer that
// runs while something is unread.
//
// Worker-affine.
class DurableTap : private SinkObserver, private LogWaiter {
 public:
  // `path` is the FIFO's below topics/. `on_fenced` is called on the worker, if
  // a session has taken the reader's name: the tap is then to be destroyed. An
  // error with the code kUnavailable may pass.
  static absl::StatusOr<std::unique_ptr<DurableTap>> Open(
      const std::string& topic, const std::string& path, BusParts& parts,
      Worker& worker, UniqueFd fd, std::function<void()> on_fenced);
  // One that goes on with its pipe as another broker left it.
  static absl::StatusOr<std::unique_ptr<DurableTap>> Restore(
      const pb::state::DurableTap& state, const std::string& topic,
      const std::string& path, BusParts& parts, Worker& worker, UniqueFd fd,
      std::function<void()> on_fenced);
  pb::state::DurableTap Export() const;
  ~DurableTap() override;

  // Somebody opened the FIFO.
  void OnOpened();
  // Or may have: what a reader that is known has read in part does not come
  // again.
  void LookForReader();

  const std::string& topic() const { return topic_; }
  const FileIdentity& identity() const { return identity_; }
  // Whether the rules in force let the FIFO's owner have the topic.
  bool IsAllowed() const;

  pb::state::EgressPipe ExportPipe() const { return pipe_->Export(); }

  // Nothing more is read of the log.
  void Finish() { finishing_ = true; }
  // What a reader that is there has not read yet.
  size_t unread_bytes() const;

 private:
  DurableTap(const std::string& topic, BusParts& parts, Worker& worker,
             UniqueFd fd, std::shared_ptr<ServedLog> log,
             std::shared_ptr<DurableReader> reader);

  // Not begun.
  static absl::StatusOr<std::unique_ptr<DurableTap>> Make(
      const std::string& topic, const std::string& path, BusParts& parts,
      Worker& worker, UniqueFd fd);
  absl::Status OpenPipe();
  void TakeReader(std::function<void()> on_fenced);
  void WatchLog();
  absl::Status Begin(std::function<void()> on_fenced);
  absl::Status BeginAgain(const pb::state::DurableTap& state,
                          std::function<void()> on_fenced);
  void ReadFrom(uint64_t offset);
  void Go();
  void OnNoReader();
  // Settles what was read. Returns what is first that was not; nothing: all was.
  std::optional<LineTarget::Unread> NotePosition();
  void StartClock(absl::Duration delay);
  void OnClock(absl::Duration delay);
  void StopClock();

  void OnWritable() override;
  void OnStallTimeout() override {}  // it has no stall clock
  void OnLogProgress() override { Go(); }

  const std::string topic_;
  const FileIdentity identity_;
  const uint32_t owner_;
  BusParts& parts_;
  Worker& worker_;
  const std::shared_ptr<ServedLog> log_;
  const std::shared_ptr<DurableReader> reader_;
  uint64_t use_ = 0;
  // Shared with what another session calls.
  struct Fencing;
  std::shared_ptr<Fencing> fencing_;

  const std::shared_ptr<EgressPipe> pipe_;
  LineTarget target_;
  std::optional<LogCursor> cursor_;
  bool has_reader_ = false;
  bool finishing_ = false;
  std::optional<EventLoop::TimerId> clock_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_DURABLE_TAP_H_
