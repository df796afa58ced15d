#ifndef FIFOBUS_BROKER_CORE_LOGS_READER_FILE_H_
#define FIFOBUS_BROKER_CORE_LOGS_READER_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/logs/log_format.h"
#include "broker/core/logs/offset_set.h"
#include "broker/seam/disk.h"

namespace fifobus {

// What is written down of one durable reader.
struct ReaderRecord {
  std::string name;
  std::string pattern;
  std::string group;  // empty: none
  uint64_t position = 1;
  OffsetSet done_above = {};

  bool operator==(const ReaderRecord&) const = default;
};

// The file `readers` of a log's folder, as proto/LOG.md describes it. Of each
// reader it holds the first `ranges_max` ranges above its position.
std::string EncodeReaders(const LogId& log_id,
                          const std::vector<ReaderRecord>& readers,
                          size_t ranges_max);

struct [[nodiscard]] DecodedReaders {
  HeaderFault fault = HeaderFault::kNone;
  std::vector<ReaderRecord> readers;
};
DecodedReaders DecodeReaders(std::string_view bytes, const LogId& log_id);

// Reads the file. A damaged one, or one of another log, is put aside and
// logged: its readers are not known then. Fails if the disk does, or if a newer
// fifobus wrote it.
struct [[nodiscard]] LoadedReaders {
  DiskResult result;
  // Or kNewerVersion; of ReadReaders also kDamaged.
  HeaderFault fault = HeaderFault::kNone;
  std::vector<ReaderRecord> readers;
};
LoadedReaders LoadReaders(Disk& disk, const LogId& log_id,
                          std::string_view log_name);

// Reads the file and changes nothing. Of a damaged one, or one of another log,
// the fault says so.
LoadedReaders ReadReaders(Disk& disk, const LogId& log_id);

// Puts these bytes in the file's place. When it returns they are on disk.
DiskResult StoreReaders(Disk& disk, std::string_view bytes);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_READER_FILE_H_
