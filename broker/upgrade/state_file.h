#ifndef FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_
#define FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/state/broker_state.pb.h"

// The state that an upgrade hands over, as a file in memory: Records, each
// behind its length. See broker/state/broker_state.proto.
namespace fifobus {

// A state in a memfd.
struct StateFile {
  UniqueFd fd;
  uint64_t records = 0;
  uint64_t bytes = 0;
  std::vector<int> descriptors;  // that the records name
};

// Collects records, and writes them into a memfd. Thread-compatible.
class StateWriter {
 public:
  void Add(const pb::state::Record& record);
  // Adds a Record of the chunk, whose bytes are left where they are until Finish.
  void AddChunk(const pb::state::Chunk& chunk, std::string_view bytes);
  // Behind what was added.
  void Append(const StateWriter& other);
  // What failed before is told here.
  absl::StatusOr<StateFile> Finish() const;

 private:
  // Bytes that lie elsewhere, and how many of bytes_ stand before them.
  struct Outside {
    size_t position = 0;
    std::string_view bytes;
  };

  void AppendLength(size_t length);

  std::string bytes_;
  std::vector<Outside> outside_;
  uint64_t records_ = 0;
  std::vector<int> descriptors_;
  absl::Status status_;
};

// Reads one. It moves no file position, because another process may share it.
// Thread-compatible.
class StateReader {
 public:
  // `fd` may be closed afterwards. Fails unless a Header comes first that this
  // program understands.
  static absl::StatusOr<StateReader> Open(int fd);
  StateReader(StateReader&& other) noexcept;
  StateReader& operator=(StateReader&& other) = delete;
  ~StateReader();

  const pb::state::Header& header() const { return header_; }
  // Nothing: there is no other. The bytes of a Chunk are not in the record.
  absl::StatusOr<std::optional<pb::state::Record>> Next();
  // Of the chunk that Next has returned. Valid as long as this.
  std::string_view chunk_bytes() const { return chunk_bytes_; }
  uint64_t records() const { return records_; }

 private:
  explicit StateReader(std::string_view mapped)
      : mapped_(mapped), rest_(mapped) {}

  absl::Status ReadHeader();

  std::string_view mapped_;
  std::string_view rest_;
  std::string_view chunk_bytes_;
  pb::state::Header header_;
  uint64_t records_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_
