#ifndef FIFOBUS_BROKER_BUS_TAP_SET_H_
#define FIFOBUS_BROKER_BUS_TAP_SET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "broker/base/mutex.h"
#include "broker/base/unique_fd.h"
#include "broker/bus/bus_parts.h"
#include "broker/bus/durable_tap.h"
#include "broker/bus/tap_ends.h"
#include "broker/io/name_state.h"
#include "broker/seam/state_chunks.h"
#include "broker/seam/state_ingresses.h"
#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_file.h"

namespace fifobus {

// The open taps of a broker, by their path below topics/: `a/b.in` and
// `a/b.out/NAME`. What lies under which name is TapTree's concern.
//
// A `.in` never ends within a call, which may come from its own feed: it is
// retired, and ends afterwards.
//
// Worker-affine, but for AppendStats.
class TapSet {
 public:
  // `before_routing` runs when a tap has bytes, before they are routed;
  // `on_fenced(path)` when a session has taken the name of a durable tap, which
  // has ended.
  TapSet(BusParts& parts, Worker& worker, std::function<void()> before_routing,
         std::function<void(const std::string&)> on_fenced);

  // Whether there is a tap at `path`, and whether `file` is it.
  bool Has(const std::string& path) const;
  bool IsAt(const std::string& path, const NameState& file) const;
  std::vector<std::string> Paths() const;

  // Opens the FIFO of a topic's `.in`, or one in its `.out/`, which may be a
  // durable tap. An error with the
  // code kUnavailable may pass; another one lasts as long as the FIFO and the
  // rules are the same.
  absl::Status AddIn(const std::string& topic);
  absl::Status AddOut(const std::string& topic, const std::string& path);

  // Ends the tap, if there is one. What waits in a `.in` whose FIFO is gone is
  // read first; if the FIFO has only got another name, it stays in there.
  void End(const std::string& path);
  // Ends all whose path begins so. Returns how many there were.
  size_t EndBelow(const std::string& prefix);
  // Ends those to whose owners the rules deny the topic, and returns them. Gives
  // all others the permissions that the rules name.
  std::vector<std::string> EndDenied();

  // The FIFO at `path` was opened by somebody.
  void OnOpenEvent(const std::string& path);
  // Or it may have been, unseen.
  void OnOpened(const std::string& path);
  // Lines may have a subscriber now.
  void NudgeIns();

  // For an upgrade. What was read goes over with each tap; one is restored as
  // what it was, without a look at its name.
  void AddIngresses(StateIngresses& ingresses) const;
  void Export(StateChunks& chunks, const StateIngresses& ingresses,
              StateWriter& state) const;
  absl::Status Restore(const pb::state::Record& tap, const StateChunks& chunks,
                       StateIngresses& ingresses);

  // All that lay there when the broker started are open by now.
  void EndStart() { starting_ = false; }

  // Reads what was written to the `.in`s and closes them; `.out`s stay. Lines
  // without a subscriber stay in a FIFO that somebody else holds open.
  void Finish();
  bool finished() const;
  // What taps with a reader have not been given yet.
  size_t queued_bytes() const;

  // What was written to `.in`s that are held back, and not read yet.
  size_t unread_bytes() const;

  // What ended with the broker and was delivered to nobody.
  struct Leftover {
    uint64_t lines = 0;     // that had no subscriber
    uint64_t messages = 0;  // that no reader of a `.out/` took
  };
  // Ends all, and says in the log for each what is left in it. The files stay
  // for the next broker.
  Leftover Close();

  // Any thread.
  void AppendStats(pb::StatsReply& reply) const;

 private:
  absl::Status RestoreIn(const pb::state::TapIn& state,
                         const StateChunks& chunks, StateIngresses& ingresses);
  absl::Status RestoreOut(const pb::state::TapOut& state,
                          const StateChunks& chunks, StateIngresses& ingresses);
  absl::Status RestoreDurable(const pb::state::TapDurable& state);
  void KeepOut(const std::string& path, std::unique_ptr<TapOut> out);
  absl::Status AddDurable(const std::string& topic, const std::string& path,
                          UniqueFd fd);
  void SetMode(const std::string& path, const std::string& topic);
  void RetireIn(std::unique_ptr<TapIn> in);
  void EndRetired();
  void CloseIn(const std::string& path, TapIn& in, Leftover& leftover);
  void CloseOut(const std::string& path, TapOut& out, Leftover& leftover);

  BusParts& parts_;
  Worker& worker_;
  const std::function<void()> before_routing_;
  bool starting_ = true;
  const std::function<void(const std::string&)> on_fenced_;
  std::map<std::string, std::unique_ptr<TapIn>> ins_;
  std::map<std::string, std::unique_ptr<TapOut>> outs_;
  std::map<std::string, std::unique_ptr<DurableTap>> durables_;
  std::vector<std::unique_ptr<TapIn>> retired_ins_;

  mutable Mutex mutex_;
  // Of outs_, for AppendStats.
  struct ShownOut {
    std::shared_ptr<Egress> egress;
    uint32_t owner = 0;
  };
  std::map<std::string, ShownOut> shown_outs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_BUS_TAP_SET_H_
