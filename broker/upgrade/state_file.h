#ifndef FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_
#define FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "broker/base/unique_fd.h"
#include "broker/state/broker_state.pb.h"

// The state that an upgrade hands over, as a file in memory: Records, each
// behind its length. See broker/state/broker_state.proto.
namespace fifobus {

// What this program writes and understands. A program refuses a state whose
// `needs` is above its own format.
//   1  the first
constexpr uint32_t kStateFormat = 1;
constexpr uint32_t kStateNeeds = 1;

// Writes a state into a new memfd. Thread-compatible.
class StateWriter {
 public:
  static absl::StatusOr<StateWriter> Create();

  absl::Status Add(const pb::state::Record& record);
  // To be called once, behind the last record.
  absl::Status Finish();

  int fd() const { return fd_.get(); }
  uint64_t records() const { return records_; }
  uint64_t bytes() const { return bytes_; }

 private:
  explicit StateWriter(UniqueFd fd) : fd_(std::move(fd)) {}

  absl::Status WriteBuffer();

  UniqueFd fd_;
  std::string buffer_;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;
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
  // Nothing: there is no other.
  absl::StatusOr<std::optional<pb::state::Record>> Next();
  uint64_t records() const { return records_; }

 private:
  explicit StateReader(std::string_view mapped)
      : mapped_(mapped), rest_(mapped) {}

  absl::Status ReadHeader();

  std::string_view mapped_;
  std::string_view rest_;
  pb::state::Header header_;
  uint64_t records_ = 0;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_UPGRADE_STATE_FILE_H_
