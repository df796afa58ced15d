#ifndef FIFOBUS_BROKER_CORE_LOGS_TORN_TAIL_H_
#define FIFOBUS_BROKER_CORE_LOGS_TORN_TAIL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "broker/seam/disk.h"

namespace fifobus {

// A name that is not taken for what is torn of a file: FILE.torn, or
// FILE-NUMBER.torn.
std::string TornFile(Disk& disk, const std::string& file);
bool IsTornFile(std::string_view name);

// Copies what the file has from `position` on into a torn file, and then cuts
// it off. Of more than `files_max` torn files the first by name go.
DiskResult KeepAndCutTail(Disk& disk, DiskFile& file, const std::string& name,
                          uint64_t position, uint64_t file_bytes,
                          size_t files_max);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_TORN_TAIL_H_
