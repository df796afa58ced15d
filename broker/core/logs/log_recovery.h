#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_RECOVERY_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_RECOVERY_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/logs/batch_buffer.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/log_writer.h"
#include "broker/core/logs/segment.h"
#include "broker/options.h"
#include "broker/seam/disk.h"

namespace fifobus {

// What a log's folder holds after a crash, or after an orderly end.
struct [[nodiscard]] RecoveredLog {
  LogOutcome outcome = LogOutcome::kDone;
  std::string reason;  // where it is not kDone

  LogWriter::Start start;
  // Oldest first; each ends where the next one begins.
  std::vector<std::shared_ptr<Segment>> segments;
  // Whole batches of the last segment of which nothing says that they are on
  // disk. They are in memory now, and are to be committed before they are read.
  BatchBuffer tail;
  // What of the last segment was stored and cannot be read.
  std::vector<MissingRange> missing;
};

// Reads the headers of all segments and all of the last one. `log_name` is for
// the broker's log.
//
// What cannot be read below the highest synced offset that is seen anywhere was
// once on disk: it is damage, which is reported and left as it is. What cannot
// be read above it was never confirmed: it is a torn tail, which is kept as
// *.torn and cut. Writing goes on in the last segment if that is whole and all
// of it is known to be on disk, and else in a new one. With an outcome other
// than kDone or kFailed no file was changed.
RecoveredLog RecoverLog(Disk& disk, const BrokerOptions& options,
                        std::string_view log_name);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_RECOVERY_H_
