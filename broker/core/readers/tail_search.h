#ifndef FIFOBUS_BROKER_CORE_READERS_TAIL_SEARCH_H_
#define FIFOBUS_BROKER_CORE_READERS_TAIL_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "broker/core/logs/served_log.h"
#include "broker/core/readers/message_filter.h"
#include "broker/options.h"
#include "broker/state/reader_state.pb.h"

namespace fifobus {

// Looks for the last so many messages of a pattern in a log. It goes through
// the log's end, and while that holds too few of them through a piece before it
// that is twice as long. So it reads little where they are frequent, and the
// log at most twice.
//
// Worker-affine.
class TailSearch {
 public:
  // Without a pattern nothing is read. `options` must outlive it.
  TailSearch(std::shared_ptr<ServedLog> log, size_t worker,
             const BrokerOptions& options, std::string pattern, uint64_t count);
  // One that goes on where another broker's stood.
  TailSearch(std::shared_ptr<ServedLog> log, size_t worker,
             const BrokerOptions& options, std::string pattern,
             const pb::state::TailSearch& state);
  pb::state::TailSearch Export() const;

  enum class Outcome {
    kFound,   // offset()
    kMore,    // others have their turn first: the log's watch, which is woken
    kFailed,  // the disk was not read; it goes on there
  };
  [[nodiscard]] Outcome Go();

  // Where a reader begins, with kFound.
  uint64_t offset() const { return begin_; }

 private:
  // Looks at what the log has from at_ on, up to end_.
  LogReadOutcome Look();
  // The piece is read. True: begin_ is found.
  bool OnPieceRead();
  void BeginPiece(uint64_t end);

  const std::shared_ptr<ServedLog> log_;
  const size_t worker_;
  const BrokerOptions& options_;
  MessageFilter filter_;
  const uint64_t first_;
  uint64_t wanted_;
  uint64_t piece_;

  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  uint64_t at_ = 0;
  uint64_t matches_ = 0;
  // So many matches of the piece come before the one that is looked for; not
  // known in the first pass.
  uint64_t skip_ = UINT64_MAX;
  size_t turn_bytes_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_READERS_TAIL_SEARCH_H_
