#ifndef FIFOBUS_BROKER_CORE_READERS_LOG_CURSOR_H_
#define FIFOBUS_BROKER_CORE_READERS_LOG_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/sparse_log.h"
#include "broker/core/logs/log_block.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/offset_set.h"
#include "broker/core/logs/served_log.h"
#include "broker/core/readers/log_target.h"
#include "broker/core/readers/message_filter.h"
#include "broker/options.h"
#include "broker/seam/sink.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// What a cursor reads.
struct LogRange {
  // Empty: all of the log's messages.
  std::string pattern;
  uint64_t from = 1;
  uint64_t until = UINT64_MAX;  // exclusive
  OffsetSet done = {};          // is passed over
};

// What came of a cursor's turn, and what the next one waits for.
enum class LogTurn {
  kEnd,      // nothing more is committed: the log's watch
  kNoRoom,   // the target's room
  kMore,     // others have their turn first: the log's watch, which is woken
  kReached,  // `until`: SetUntil
  kFailed,   // the disk was not read: the log's watch, which is woken later
};

// One reader's place in a log. It reads what is committed and offers it to its
// target, in order, each message once; where messages are missing it offers a
// Gap with their number. It has no queue: what finds no room is offered again.
// So what is replayed and what comes live join by themselves.
//
// Not here: when it has a turn. Its owner is a waiter of log.watch(worker), and
// hears of room.
//
// Worker-affine. Invariant: everything below position() was offered and taken,
// or passed over, or is told of by a Gap that was taken.
class LogCursor {
 public:
  // `options` and `target` must outlive it.
  LogCursor(std::shared_ptr<ServedLog> log, size_t worker,
            const BrokerOptions& options, LogTarget& target, LogRange range);
  LogCursor(const LogCursor&) = delete;
  LogCursor& operator=(const LogCursor&) = delete;

  // Goes on as far as it may.
  [[nodiscard]] LogTurn Go();

  // The next offset.
  uint64_t position() const { return position_; }
  // No message above was taken; 0: none was.
  uint64_t last_taken() const { return last_taken_; }

  void SetUntil(uint64_t until) { until_ = until; }

  // Its place, for an upgrade. The pattern it was made with is the same.
  pb::state::LogCursor Export() const;
  void Restore(const pb::state::LogCursor& state);

 private:
  // Both return false if there was not room for all.
  bool OfferBlock(const std::shared_ptr<const LogBlock>& block);
  bool OfferGap(LogReadOutcome outcome, const MissingRange& missing);
  // Whether slices_ are worth being taken from the file, and what that holds
  // was checked a moment ago.
  bool MayTakeFromFile(const LogBlock& block) const;
  // Fill slices_ with what is to be offered of the body from position_ on.
  void Gather(const LogBlock::Body& body, size_t at);
  void GatherMatching(const LogBlock::Body& body, size_t at);
  void AddSlice(const LogBlock::Body& body, std::string_view bytes,
                uint64_t offset, uint32_t messages);
  // Where the message of position_ begins in the body.
  size_t FindPosition(const LogBlock::Body& body) const;
  // `taken` bytes of slices_, which are not all, were taken.
  void StopAt(const std::shared_ptr<const LogBlock>& block, size_t taken);
  LogTurn Fail();

  const std::shared_ptr<ServedLog> log_;
  const size_t worker_;
  const BrokerOptions& options_;
  LogTarget& target_;
  MessageFilter filter_;
  OffsetSet done_;
  uint64_t position_;
  uint64_t until_;
  uint64_t last_taken_ = 0;
  SparseLog failures_;

  // Where position_ lies, if the block is still there.
  std::weak_ptr<const LogBlock> stopped_block_;
  const char* stopped_at_ = nullptr;

  std::vector<Slice> slices_;        // of one offer
  std::vector<uint64_t> positions_;  // of the slices, in the file
  uint64_t last_gathered_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_READERS_LOG_CURSOR_H_
