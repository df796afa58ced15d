#ifndef FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_H_
#define FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/types/span.h"
#include "broker/base/mutex.h"
#include "broker/core/delivery/back_pressure.h"
#include "broker/core/delivery/egress_queue.h"
#include "broker/core/delivery/egress_state.h"
#include "broker/core/delivery/gap_ledger.h"
#include "broker/core/delivery/room_listener.h"
#include "broker/core/retained/retained_value.h"
#include "broker/counters.h"
#include "broker/options.h"
#include "broker/rules/overflow_policy.h"
#include "broker/seam/chunk.h"
#include "broker/seam/feed.h"
#include "broker/seam/sink.h"

namespace fifobus {

// What a subscriber reads.
enum class EgressFormat {
  kFrames,  // the publishers' own frames
  kText,    // payload and newline
  kJson,    // one JSON object a line
};

// One subscriber as the core sees it: a bounded queue in front of a sink. It
// writes, queues and drops; which publishers wait meanwhile is decided by
// BackPressure. What is dropped is announced by a gap where it is missing.
//
// Any worker offers; the owning worker drains when its sink has room. Both hold
// the lock `mutex_`, also while they write to the sink, so that bytes keep
// their order. It is a leaf but for a queue group's egress, whose sink offers
// to those of the members. Resuming a valve, starting the clock and telling the
// room listener happen without it.
//
// Invariant: no ingress is paused while the egress is stalled, ending, closed,
// or below half.
//
// Thread-safe. Shared by subscription snapshots and routes, which may outlive
// the sink: after Close an Egress is an empty shell.
class Egress : public SinkObserver {
 public:
  enum class ControlOutcome {
    kQueued,
    kFull,    // the reader does not take its answers
    kClosed,  // too late
  };

  enum class OfferOutcome {
    kDone,   // written, queued, dropped, or the egress is closed
    kStale,  // nothing was done: see NoteUnsubscribed
  };
  // Of what is offered for another reason than a snapshot of subscriptions.
  static constexpr uint64_t kNoGeneration = UINT64_MAX;

  // `id` is dense and unique among the egresses of a broker that are not
  // closed. `counters` must live as long as this.
  Egress(uint32_t id, EgressFormat format, const BrokerOptions& options,
         std::shared_ptr<Sink> sink, Counters& counters);

  uint32_t id() const { return id_; }
  EgressFormat format() const { return format_; }

  // Says that this is a tap and not a session. Before it is shared.
  void SetTap() { is_tap_ = true; }
  bool is_tap() const { return is_tap_; }

  // Names the valve of the same client's ingress, which this egress must never
  // pause, unless its policy is kBlock.
  void SetOwnValve(std::shared_ptr<Valve> valve);

  // Sets another policy than drop_oldest with the limits of the options. Before
  // the first Offer.
  void SetPolicy(const OverflowPolicy& policy);

  // Writes or queues slices of `chunk`: whole frames, or for the text formats
  // one message each. `valve` is that of the ingress they came from; null: it
  // cannot be paused, and a full queue turns away what it brings. `generation`
  // is that of the snapshot that named this egress. `staged`: see Sink::Write.
  [[nodiscard]] OfferOutcome Offer(const ChunkRef& chunk,
                                   absl::Span<const Slice> slices,
                                   const std::shared_ptr<Valve>& valve,
                                   uint64_t generation = kNoGeneration,
                                   const Staged* staged = nullptr);

  // Writes or queues what a new subscriber begins with, by reference and
  // without a limit. The memory is the store's, which has a limit of its own,
  // and a subscriber that asks for all of it cannot read before it has asked.
  // The next live message finds the queue full, as after any burst.
  void OfferFirst(absl::Span<const RetainedValue> values);

  // Queues one retained message as a tap shows it, for OnWritable to write. It is
  // a copy, so the limits hold: the oldest make room for the newest.
  void QueueFirst(const ChunkRef& chunk, const Slice& slice);

  // A message for this subscriber is lost at this point of its stream.
  [[nodiscard]] OfferOutcome OfferLoss(LossReason reason,
                                       std::string_view topic,
                                       uint64_t generation = kNoGeneration);

  // Snapshots from `generation` on are without one of its patterns. From now on
  // what an older one has named it for is kStale: it is to be looked up anew,
  // lest it follow the word that the subscription has ended.
  void NoteUnsubscribed(uint64_t generation);

  // Writes or queues whole frames of the broker's own, prefixes included.
  [[nodiscard]] ControlOutcome OfferControl(std::string_view frames);

  // Writes units of a queue group of which this egress is a member. It writes
  // only if nothing waits here, and only what the sink takes at once. It queues
  // only a copy of the rest of a unit that was begun. `slices` hold whole
  // MessageUnits or control frames, each of them in one piece.
  //
  // If less than all is taken, the room listener is told when there is room
  // again, unless the reader has gone.
  struct [[nodiscard]] RoomResult {
    size_t bytes_taken = 0;   // of the units
    uint64_t stream_end = 0;  // where they end, in bytes of all it ever carried
  };
  // `stored`, if not null, says where they lie on a disk as well.
  RoomResult OfferIfRoom(absl::Span<const Slice> slices,
                         const StoredSlices* stored = nullptr);

  // How many of the bytes that it carried the reader has taken out of the sink;
  // after Close, had by then.
  uint64_t ReadPosition() const;

  // The listener is told of room after OfferIfRoom found none, on the thread of
  // the egress's worker. Until Close.
  void SetRoomListener(std::shared_ptr<RoomListener> listener);

  // There is no reader now: the egress keeps what comes and, when it is full,
  // drops. Until ReaderCame.
  void ReaderLeft();
  void ReaderCame();

  // Forgets the queue and the sink, and resumes all ingresses. When this
  // returns nothing is written any more.
  void Close();
  // The same, and returns how many messages were in the queue.
  uint64_t Abandon();

  void OnWritable() override;
  void OnStallTimeout() override;

  EgressState state() const;

 private:
  friend class EgressTransfer;

  // What is left to do without the lock.
  struct Afterwards {
    BackPressure::Valves resume;
    std::shared_ptr<Sink> start_clock;
    std::shared_ptr<Sink> end;
    std::shared_ptr<RoomListener> room;
    void Run();
  };

  // Returns the bytes taken, from the front of all slices.
  size_t WriteNow(absl::Span<const Slice> slices, const Staged* staged,
                  const StoredSlices* stored = nullptr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Queues the rest of the unit that is cut `written` bytes from the front of
  // all slices, and counts the units up to it. Returns where it ends.
  size_t FinishUnit(absl::Span<const Slice> slices, size_t written)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Drain(Afterwards& afterwards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LimitQueue(const std::shared_ptr<Valve>& valve, Afterwards& afterwards)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stall(Afterwards& afterwards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Loses what is queued, and what comes until the reason of the end is said.
  void BeginEnd(Afterwards& afterwards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GoOnEnding(Afterwards& afterwards) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the queue is full and takes nothing more from this ingress.
  bool TurnsAway(const std::shared_ptr<Valve>& valve)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TurnAway(absl::Span<const Slice> slices, LossReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Drops queued messages as the policy has it.
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint32_t id_;
  const EgressFormat format_;
  bool is_tap_ = false;
  const size_t control_bytes_max_;
  const size_t copied_rest_bytes_max_;
  Counters& counters_;

  mutable Mutex mutex_;
  std::shared_ptr<Sink> sink_ ABSL_GUARDED_BY(mutex_);  // null: closed
  OverflowPolicy policy_ ABSL_GUARDED_BY(mutex_);
  // Recounted by state().
  mutable EgressQueue queue_ ABSL_GUARDED_BY(mutex_);
  BackPressure pressure_ ABSL_GUARDED_BY(mutex_);
  bool reader_gone_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<RoomListener> room_listener_ ABSL_GUARDED_BY(mutex_);
  bool room_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t offered_ ABSL_GUARDED_BY(mutex_) = 0;  // messages, lost ones too
  uint64_t delivered_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t read_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // when it was closed
  uint64_t unsubscribed_generation_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_DELIVERY_EGRESS_H_
