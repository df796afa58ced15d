#include "broker/core/logs/log_format.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "broker/base/check.h"
#include "fmt/format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fifobus {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied as they are");

constexpr std::string_view kSegmentMagic = "FIFOLOG\n";
constexpr std::string_view kBatchMagic = "FBAT";
constexpr std::string_view kIndexMagic = "FIFOIDX\n";

// Where the fields lie: proto/LOG.md.
constexpr size_t kSegmentFixedBytes = 56;
constexpr size_t kPublisherFixedBytes = 17;
constexpr size_t kBatchFixedBytes = 72;
constexpr size_t kHashBytes = 8;
constexpr size_t kIndexFixedBytes = 24;
constexpr size_t kIndexEntryBytes = 24;

template <typename Number>
void Put(char* out, Number number) {
  std::memcpy(out, &number, sizeof(number));
}

template <typename Number>
Number Get(std::string_view bytes, size_t position) {
  FIFOBUS_CHECK(position + sizeof(Number) <= bytes.size());
  Number number;
  std::memcpy(&number, bytes.data() + position, sizeof(number));
  return number;
}

template <typename Number>
void Append(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

bool HashFits(std::string_view bytes, uint64_t seed) {
  const std::string_view hashed = bytes.substr(0, bytes.size() - kHashBytes);
  return Get<uint64_t>(bytes, hashed.size()) == LogHash(hashed, seed);
}

bool ReadPublishers(std::string_view bytes, uint32_t count,
                    std::vector<PublisherMark>& publishers) {
  size_t position = kSegmentFixedBytes;
  for (uint32_t i = 0; i < count; ++i) {
    if (position + kPublisherFixedBytes > bytes.size()) return false;
    PublisherMark mark;
    mark.last_sequence = Get<uint64_t>(bytes, position);
    mark.last_offset = Get<uint64_t>(bytes, position + 8);
    const size_t name_bytes = Get<uint8_t>(bytes, position + 16);
    position += kPublisherFixedBytes;
    if (name_bytes > bytes.size() - position) return false;
    mark.name = bytes.substr(position, name_bytes);
    position += name_bytes;
    publishers.push_back(std::move(mark));
  }
  return true;
}

}  // namespace

uint64_t LogId::seed() const {
  return Get<uint64_t>({bytes.data(), bytes.size()}, 0);
}

uint64_t LogHash(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

struct LogHasher::State {
  XXH3_state_t xxh;
};

LogHasher::LogHasher(uint64_t seed) : state_(std::make_unique<State>()) {
  XXH3_INITSTATE(&state_->xxh);
  XXH3_64bits_reset_withSeed(&state_->xxh, seed);
}

LogHasher::~LogHasher() = default;

void LogHasher::Add(std::string_view bytes) {
  XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

uint64_t LogHasher::hash() const { return XXH3_64bits_digest(&state_->xxh); }

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string out(kSegmentMagic);
  Append(out, kLogVersion);
  Append(out, uint32_t{0});  // the header's bytes, below
  out.append(header.log_id.bytes.data(), header.log_id.bytes.size());
  Append(out, header.base_offset);
  Append(out, header.base_time_unix_nanos);
  Append(out, static_cast<uint32_t>(header.publishers.size()));
  Append(out, uint32_t{0});
  for (const PublisherMark& mark : header.publishers) {
    FIFOBUS_CHECK(mark.name.size() <= kPublisherNameBytesMax);
    Append(out, mark.last_sequence);
    Append(out, mark.last_offset);
    Append(out, static_cast<uint8_t>(mark.name.size()));
    out += mark.name;
  }
  const size_t units =
      (out.size() + kHashBytes + kSegmentHeaderUnit - 1) / kSegmentHeaderUnit;
  out.resize(units * kSegmentHeaderUnit - kHashBytes);
  FIFOBUS_CHECK(out.size() + kHashBytes <= kSegmentHeaderBytesMax);
  Put(&out[12], static_cast<uint32_t>(out.size() + kHashBytes));
  Append(out, LogHash(out, header.log_id.seed()));
  return out;
}

DecodedSegmentHeader DecodeSegmentHeader(std::string_view bytes) {
  DecodedSegmentHeader decoded;
  if (bytes.size() < kSegmentHeaderUnit) {
    return {HeaderFault::kPartial, {}, kSegmentHeaderUnit};
  }
  SegmentHeader& header = decoded.header;
  std::memcpy(header.log_id.bytes.data(), bytes.data() + 16, 16);
  decoded.header_bytes = Get<uint32_t>(bytes, 12);
  decoded.fault = HeaderFault::kDamaged;
  if (!bytes.starts_with(kSegmentMagic) || decoded.header_bytes == 0 ||
      decoded.header_bytes % kSegmentHeaderUnit != 0 ||
      decoded.header_bytes > kSegmentHeaderBytesMax) {
    return decoded;
  }
  if (bytes.size() < decoded.header_bytes) {
    decoded.fault = HeaderFault::kPartial;
    return decoded;
  }
  bytes = bytes.substr(0, decoded.header_bytes);
  if (!HashFits(bytes, header.log_id.seed())) return decoded;
  if (Get<uint32_t>(bytes, 8) != kLogVersion) {
    decoded.fault = HeaderFault::kNewerVersion;
    return decoded;
  }
  header.base_offset = Get<uint64_t>(bytes, 32);
  header.base_time_unix_nanos = Get<uint64_t>(bytes, 40);
  if (ReadPublishers(bytes.substr(0, bytes.size() - kHashBytes),
                     Get<uint32_t>(bytes, 48), header.publishers)) {
    decoded.fault = HeaderFault::kNone;
  }
  return decoded;
}

void EncodeBatchHeader(const BatchHeader& header, uint64_t seed, char* out) {
  FIFOBUS_CHECK(header.publisher.size() <= kPublisherNameBytesMax);
  const size_t bytes = header.header_bytes();
  std::memset(out, 0, bytes);
  std::memcpy(out, kBatchMagic.data(), kBatchMagic.size());
  Put(out + 4, static_cast<uint16_t>(bytes));
  Put(out + 7, static_cast<uint8_t>(header.publisher.size()));
  Put(out + 8, header.body_bytes);
  Put(out + 12, header.count);
  Put(out + 16, header.position);
  Put(out + 24, header.base_offset);
  Put(out + 32, header.stored_time_unix_nanos);
  Put(out + 40, header.synced_offset);
  Put(out + 48, header.first_sequence);
  Put(out + 56, header.last_sequence);
  Put(out + 64, header.body_hash);
  std::memcpy(out + kBatchFixedBytes, header.publisher.data(),
              header.publisher.size());
  const size_t hashed = bytes - kHashBytes;
  Put(out + hashed, LogHash({out, hashed}, seed));
}

bool MayBeBatchHeader(std::string_view bytes) {
  return bytes.starts_with(kBatchMagic);
}

DecodedBatchHeader DecodeBatchHeader(std::string_view bytes, uint64_t seed,
                                     uint64_t position) {
  if (bytes.size() < kBatchHeaderBytesMin) return {HeaderFault::kPartial, {}};
  const size_t header_bytes = Get<uint16_t>(bytes, 4);
  const size_t name_bytes = Get<uint8_t>(bytes, 7);
  if (!MayBeBatchHeader(bytes) ||
      header_bytes != kBatchHeaderBytesMin + Aligned(name_bytes)) {
    return {HeaderFault::kDamaged, {}};
  }
  if (bytes.size() < header_bytes) return {HeaderFault::kPartial, {}};
  bytes = bytes.substr(0, header_bytes);
  if (!HashFits(bytes, seed)) return {HeaderFault::kDamaged, {}};
  BatchHeader header;
  header.body_bytes = Get<uint32_t>(bytes, 8);
  header.count = Get<uint32_t>(bytes, 12);
  header.position = Get<uint64_t>(bytes, 16);
  header.base_offset = Get<uint64_t>(bytes, 24);
  header.stored_time_unix_nanos = Get<uint64_t>(bytes, 32);
  header.synced_offset = Get<uint64_t>(bytes, 40);
  header.first_sequence = Get<uint64_t>(bytes, 48);
  header.last_sequence = Get<uint64_t>(bytes, 56);
  header.body_hash = Get<uint64_t>(bytes, 64);
  header.publisher = bytes.substr(kBatchFixedBytes, name_bytes);
  // A copy of a log in a message's payload lies elsewhere.
  if (header.position != position) return {HeaderFault::kDamaged, {}};
  return {HeaderFault::kNone, std::move(header)};
}

std::string EncodeIndex(uint64_t seed, uint64_t base_offset,
                        const std::vector<IndexEntry>& entries) {
  std::string out(kIndexMagic);
  Append(out, uint64_t{kLogVersion});
  Append(out, base_offset);
  for (const IndexEntry& entry : entries) {
    Append(out, entry.offset);
    Append(out, entry.position);
    Append(out, entry.stored_time_unix_nanos);
  }
  Append(out, LogHash(out, seed));
  return out;
}

std::optional<std::vector<IndexEntry>> DecodeIndex(std::string_view bytes,
                                                   uint64_t seed,
                                                   uint64_t base_offset) {
  if (bytes.size() < kIndexFixedBytes + kHashBytes ||
      !bytes.starts_with(kIndexMagic) || !HashFits(bytes, seed) ||
      Get<uint64_t>(bytes, 8) != kLogVersion ||
      Get<uint64_t>(bytes, 16) != base_offset) {
    return std::nullopt;
  }
  const size_t end = bytes.size() - kHashBytes;
  std::vector<IndexEntry> entries;
  for (size_t at = kIndexFixedBytes; at + kIndexEntryBytes <= end;
       at += kIndexEntryBytes) {
    entries.push_back({Get<uint64_t>(bytes, at), Get<uint64_t>(bytes, at + 8),
                       Get<uint64_t>(bytes, at + 16)});
  }
  return entries;
}

std::string SegmentFile(const SegmentName& name) {
  if (name.attempt == 0) return fmt::format("{:020}.seg", name.base_offset);
  return fmt::format("{:020}-{}.seg", name.base_offset, name.attempt);
}

std::string IndexFile(const SegmentName& name) {
  return fmt::format("{:020}.idx", name.base_offset);
}

std::optional<SegmentName> ParseSegmentFile(std::string_view file) {
  SegmentName name;
  if (!file.ends_with(".seg")) return std::nullopt;
  const std::string_view stem = file.substr(0, file.size() - 4);
  const size_t dash = stem.find('-');
  const char* const end = stem.data() + stem.size();
  std::from_chars(stem.data(), end, name.base_offset);
  if (dash != stem.npos) {
    std::from_chars(stem.data() + dash + 1, end, name.attempt);
  }
  // Whatever else is in it shows here.
  if (SegmentFile(name) != file) return std::nullopt;
  return name;
}

}  // namespace fifobus
