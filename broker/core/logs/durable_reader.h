#ifndef FIFOBUS_BROKER_CORE_LOGS_DURABLE_READER_H_
#define FIFOBUS_BROKER_CORE_LOGS_DURABLE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "broker/base/mutex.h"
#include "broker/core/logs/offset_set.h"
#include "broker/core/logs/reader_file.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// A reader of a log whose place outlives its session and the broker: everything
// below its position is done, and so are some offsets above. And who uses it.
//
// Not here: reading. Made by a ReaderTable, which writes its place down.
//
// Thread-safe. The lock is a leaf.
class DurableReader {
 public:
  // `on_change` is called, under no lock, when what is to be written down has
  // changed.
  DurableReader(ReaderRecord record, std::function<void()> on_change);

  // None of these change.
  const std::string& name() const { return name_; }
  const std::string& pattern() const { return pattern_; }
  const std::string& group() const { return group_; }  // empty: none

  // It is done with this offset; with all of these; with all up to this one.
  // In any order. What is below the position is passed over.
  void Settle(uint64_t offset) { SettleRange(offset, offset); }
  void SettleRange(uint64_t first, uint64_t last);
  void SettleUpTo(uint64_t last);

  // The first offset that it is not done with.
  uint64_t position() const;
  // The offsets above the position that it is done with.
  OffsetSet done_above() const;
  ReaderRecord record() const;

  // Its record is on disk, or was: from then on no restart begins it anew.
  bool stored() const;

  // A session (by its number) or a tap that uses it.
  struct User {
    uint64_t session = 0;  // 0: a tap
    // Called once, on any thread and under no lock, if another takes its place.
    std::function<void()> on_fenced = nullptr;
  };
  // The only user from now on: those before it are fenced. Returns what Leave
  // takes.
  uint64_t Take(User user);
  // A user beside others, such as a member of a group. It is never fenced by
  // one that joins.
  uint64_t Join(User user);
  // Nothing if it was fenced.
  void Leave(uint64_t use);
  bool in_use() const;

  std::vector<uint64_t> sessions() const;
  bool used_by_tap() const;

  // For the ReaderTable. Puts it elsewhere: everything below is done, nothing
  // else is. False: it is in use.
  [[nodiscard]] bool SetPosition(uint64_t position);
  void NoteStored();

  // What an upgrade takes over. Its users take it anew.
  pb::state::DurableReader Export() const;
  static ReaderRecord RestoreRecord(const pb::state::DurableReader& state);

 private:
  struct Use {
    uint64_t number;
    User user;
  };

  void Change();

  const std::string name_;
  const std::string pattern_;
  const std::string group_;
  const std::function<void()> on_change_;

  mutable Mutex mutex_;
  uint64_t position_ ABSL_GUARDED_BY(mutex_);
  OffsetSet done_above_ ABSL_GUARDED_BY(mutex_);
  bool stored_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Use> uses_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_DURABLE_READER_H_
