#ifndef FIFOBUS_CLIENTS_CLI_LOG_STORED_LOG_H_
#define FIFOBUS_CLIENTS_CLI_LOG_STORED_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "broker/core/logs/log_files.h"
#include "broker/core/logs/reader_file.h"
#include "broker/io/posix_disk.h"
#include "proto/frame.pb.h"

// The logs below a state directory, looked at beside their broker or without
// one. Nothing is locked or changed. Thread-compatible.
namespace fifobus::cli {

// The names of the logs, sorted. NotFound: there is no such directory.
absl::StatusOr<std::vector<std::string>> LogNames(const std::string& state_dir);

struct StoredLog {
  std::string name;
  std::string folder;
  std::unique_ptr<PosixDisk> disk;
  LogFiles files;
  std::vector<ReaderRecord> readers;  // the durable ones
  std::string readers_trouble;        // why they are not known; empty: they are
  // A process holds the log's lock: a broker runs.
  bool in_use = false;
};

// The error says in one line what is wrong and what to do. A log whose files
// are damaged is opened; one of which nothing tells what it is, is not.
absl::StatusOr<StoredLog> OpenStoredLog(const std::string& state_dir,
                                        const std::string& name);

// As the broker would tell it in StatsReply, as far as the files do.
pb::StatsReply::Log DescribeLog(const StoredLog& log);

// "3 messages, offset 4 to 6"; of an empty log where it goes on.
std::string MessagesText(const LogFiles& files);

// A time of the log for people, local; "-" for 0.
std::string LogTimeText(uint64_t unix_nanos);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_LOG_STORED_LOG_H_
