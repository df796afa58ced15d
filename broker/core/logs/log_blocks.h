#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCKS_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "broker/base/thread_rule.h"
#include "broker/core/logs/durable_log.h"
#include "broker/core/logs/log_block.h"
#include "broker/options.h"

namespace fifobus {

// The blocks of one log that the readers of one worker have read last. Readers
// that are equally far read the file once, and so does one whose pipe takes a
// block in several parts.
//
// Worker-affine, asserted. Holds at most log_blocks_bytes_max, and one block.
class LogBlocks {
 public:
  explicit LogBlocks(const BrokerOptions& options) : options_(options) {}

  // As ReadLogBlock. The block stays valid while it is held.
  LogBlockRead Read(const DurableLog& log, uint64_t from_offset);

  // Readers come and go. When none is left nothing is kept.
  void AddReader();
  void RemoveReader();

 private:
  // Small ones are many only at the end of a log. Not tuned.
  static constexpr size_t kBlocksMax = 32;

  void Keep(std::shared_ptr<const LogBlock> block);

  const BrokerOptions& options_;
  const ThreadRule thread_rule_;
  std::deque<std::shared_ptr<const LogBlock>> blocks_;  // the oldest first
  size_t bytes_ = 0;
  size_t readers_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_BLOCKS_H_
