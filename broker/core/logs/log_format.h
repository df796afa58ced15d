#ifndef FIFOBUS_BROKER_CORE_LOGS_LOG_FORMAT_H_
#define FIFOBUS_BROKER_CORE_LOGS_LOG_FORMAT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The bytes of a log's files, as proto/LOG.md describes them.
namespace fifobus {

inline constexpr uint32_t kLogVersion = 1;

// A segment's header is a multiple of this, so that batches begin on a page.
inline constexpr size_t kSegmentHeaderUnit = 4096;
// Above this a header is damaged: more than log_publishers_max long names take.
inline constexpr size_t kSegmentHeaderBytesMax = size_t{2} << 20;
// A length of one byte.
inline constexpr size_t kPublisherNameBytesMax = 255;
// Batches begin at multiples of this.
inline constexpr size_t kBatchAlignment = 8;
inline constexpr size_t kBatchHeaderBytesMin = 80;
inline constexpr size_t kBatchHeaderBytesMax = 80 + 256;

constexpr uint64_t Aligned(uint64_t bytes) {
  return (bytes + kBatchAlignment - 1) / kBatchAlignment * kBatchAlignment;
}

// Says which log a block belongs to: its hashes begin from the seed. So what a
// disk gives back of another log's deleted file never passes for this one's.
struct LogId {
  std::array<char, 16> bytes = {};

  uint64_t seed() const;
  bool operator==(const LogId&) const = default;
};

// What a log knows of one named publisher.
struct PublisherMark {
  std::string name;
  uint64_t last_sequence = 0;
  uint64_t last_offset = 0;  // of the message with that sequence

  bool operator==(const PublisherMark&) const = default;
};

struct SegmentHeader {
  LogId log_id;
  // The first offset of the segment. A segment is begun only when everything
  // below it is on disk, and ends where the next one begins.
  uint64_t base_offset = 1;
  // No message in it was stored earlier, and none before it later.
  uint64_t base_time_unix_nanos = 0;
  // As of all messages below base_offset.
  std::vector<PublisherMark> publishers;

  bool operator==(const SegmentHeader&) const = default;
};

enum class HeaderFault {
  kNone,
  kPartial,  // more bytes are needed to tell
  kDamaged,
  kNewerVersion,
};

std::string EncodeSegmentHeader(const SegmentHeader& header);

struct [[nodiscard]] DecodedSegmentHeader {
  HeaderFault fault = HeaderFault::kNone;
  SegmentHeader header;     // of a damaged one the log id as it stands there
  size_t header_bytes = 0;  // with kPartial: that are needed
};
DecodedSegmentHeader DecodeSegmentHeader(std::string_view bytes);

struct BatchHeader {
  uint32_t body_bytes = 0;
  uint32_t count = 0;     // of messages; 0: the batch only covers those before
  uint64_t position = 0;  // of this header in its file
  uint64_t base_offset = 0;
  uint64_t stored_time_unix_nanos = 0;
  // Everything up to this offset was on disk when the batch was written.
  uint64_t synced_offset = 0;
  // Of the publisher's messages in the batch.
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t body_hash = 0;
  std::string publisher;  // empty: of publishers without a name

  uint64_t end_offset() const { return base_offset + count; }
  size_t header_bytes() const {
    return kBatchHeaderBytesMin + Aligned(publisher.size());
  }
  uint64_t body_position() const { return position + header_bytes(); }
  uint64_t body_end() const { return body_position() + body_bytes; }
  uint64_t end_position() const { return Aligned(body_end()); }

  bool operator==(const BatchHeader&) const = default;
};

// Writes header.header_bytes() bytes.
void EncodeBatchHeader(const BatchHeader& header, uint64_t seed, char* out);

struct [[nodiscard]] DecodedBatchHeader {
  HeaderFault fault = HeaderFault::kNone;
  BatchHeader header;
};
// `bytes` begin at `position` of the file. kPartial: they end before the header
// does.
DecodedBatchHeader DecodeBatchHeader(std::string_view bytes, uint64_t seed,
                                     uint64_t position);
// False: no header begins with these bytes. Cheap.
bool MayBeBatchHeader(std::string_view bytes);

uint64_t LogHash(std::string_view bytes, uint64_t seed);

// LogHash of bytes that come in pieces. Thread-compatible.
class LogHasher {
 public:
  explicit LogHasher(uint64_t seed);
  ~LogHasher();
  void Add(std::string_view bytes);
  uint64_t hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Where one message range of a segment begins.
struct IndexEntry {
  uint64_t offset = 0;
  uint64_t position = 0;
  uint64_t stored_time_unix_nanos = 0;

  bool operator==(const IndexEntry&) const = default;
};

// What an index file holds. Nothing when the bytes are not of this segment.
std::string EncodeIndex(uint64_t seed, uint64_t base_offset,
                        const std::vector<IndexEntry>& entries);
std::optional<std::vector<IndexEntry>> DecodeIndex(std::string_view bytes,
                                                   uint64_t seed,
                                                   uint64_t base_offset);

// The name of a segment: BASEOFFSET.seg, and BASEOFFSET-ATTEMPT.seg where an
// attempt to begin one at this offset had failed before.
struct SegmentName {
  uint64_t base_offset = 1;
  uint32_t attempt = 0;

  auto operator<=>(const SegmentName&) const = default;
};
std::string SegmentFile(const SegmentName& name);
// A segment gets its name when all that it begins with is on disk. Before that
// this stands behind the name.
inline constexpr std::string_view kUnfinishedEnding = ".new";
std::string IndexFile(const SegmentName& name);
std::optional<SegmentName> ParseSegmentFile(std::string_view file);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_LOGS_LOG_FORMAT_H_
