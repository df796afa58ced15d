// Headers, indexes and durable readers of a log: what is written reads the same,
// and no change of a bit is taken for something else.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/core/logs/log_format.h"
#include "broker/core/logs/reader_file.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

LogId IdOf(Input& input) {
  LogId id;
  for (char& byte : id.bytes) byte = static_cast<char>(input.Byte());
  return id;
}

std::string Spoilt(std::string bytes, Input& input) {
  if (bytes.empty()) return bytes;
  const size_t at = input.Number(bytes.size() - 1);
  bytes[at] ^= static_cast<char>(1 << input.Byte() % 8);
  return bytes;
}

void CheckSegmentHeader(Input& input) {
  SegmentHeader header;
  header.log_id = IdOf(input);
  header.base_offset = input.Word();
  header.base_time_unix_nanos = input.Word();
  for (size_t left = input.Byte() % 4; left > 0; --left) {
    header.publishers.push_back(
        {std::string(input.Text()), input.Word(), input.Word()});
  }
  const std::string bytes = EncodeSegmentHeader(header);
  const auto read = DecodeSegmentHeader(bytes);
  Require(read.fault == HeaderFault::kNone && read.header == header &&
              read.header_bytes == bytes.size(),
          "a segment's header reads as it was written");
  for (const std::string& spoilt :
       {Spoilt(bytes, input), std::string(input.Rest())}) {
    const auto again = DecodeSegmentHeader(spoilt);
    Require(again.fault != HeaderFault::kNone || again.header == header,
            "a spoilt header is not taken for another one");
  }
}

void CheckBatchHeader(Input& input) {
  BatchHeader header;
  const uint64_t seed = input.Word();
  header.body_bytes = static_cast<uint32_t>(input.Word());
  header.count = static_cast<uint32_t>(input.Number(65535));
  header.position = input.Word() % (uint64_t{1} << 40) * kBatchAlignment;
  header.base_offset = input.Word();
  header.stored_time_unix_nanos = input.Word();
  header.synced_offset = input.Word();
  header.first_sequence = input.Word();
  header.last_sequence = input.Word();
  header.body_hash = input.Word();
  header.publisher = input.Text();
  std::string bytes(header.header_bytes(), '\0');
  EncodeBatchHeader(header, seed, bytes.data());
  const auto read = DecodeBatchHeader(bytes, seed, header.position);
  // Numbers that no writer writes may be refused.
  Require(read.fault != HeaderFault::kNone || read.header == header,
          "a batch's header reads as it was written");
  const auto elsewhere =
      DecodeBatchHeader(bytes, seed, header.position + kBatchAlignment);
  Require(elsewhere.fault != HeaderFault::kNone,
          "a header elsewhere in the file is none");
  const auto spoilt =
      DecodeBatchHeader(Spoilt(bytes, input), seed, header.position);
  Require(spoilt.fault != HeaderFault::kNone || spoilt.header == header,
          "a spoilt header is not taken for another one");
  (void)DecodeBatchHeader(input.Rest(), seed, header.position);
}

void CheckIndex(Input& input) {
  const uint64_t seed = input.Word();
  const uint64_t base_offset = input.Word();
  std::vector<IndexEntry> entries;
  for (size_t left = input.Byte() % 8; left > 0; --left) {
    entries.push_back({input.Word(), input.Word(), input.Word()});
  }
  const std::string bytes = EncodeIndex(seed, base_offset, entries);
  const auto read = DecodeIndex(bytes, seed, base_offset);
  Require(!read || *read == entries, "an index reads as it was written");
  const auto spoilt = DecodeIndex(Spoilt(bytes, input), seed, base_offset);
  Require(!spoilt || *spoilt == entries, "a spoilt index is none");
  (void)DecodeIndex(input.Rest(), seed, base_offset);
}

void CheckReaders(Input& input) {
  const LogId id = IdOf(input);
  std::vector<ReaderRecord> readers;
  for (size_t left = input.Byte() % 4; left > 0; --left) {
    ReaderRecord reader;
    reader.name = input.Text();
    reader.pattern = input.Text();
    reader.group = input.Text();
    reader.position = 1 + input.Word() % (uint64_t{1} << 60);
    readers.push_back(std::move(reader));
  }
  const std::string bytes = EncodeReaders(id, readers, 8);
  const auto read = DecodeReaders(bytes, id);
  Require(read.fault != HeaderFault::kNone || read.readers == readers,
          "durable readers read as they were written");
  const auto spoilt = DecodeReaders(Spoilt(bytes, input), id);
  Require(spoilt.fault != HeaderFault::kNone || spoilt.readers == readers,
          "spoilt readers are not taken for others");
  (void)DecodeReaders(input.Rest(), id);
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus::fuzz;  // NOLINT
  Input input(data, size);
  switch (input.Byte() % 5) {
    case 0:
      CheckSegmentHeader(input);
      break;
    case 1:
      CheckBatchHeader(input);
      break;
    case 2:
      CheckReaders(input);
      break;
    case 3:
      CheckIndex(input);
      break;
    default:
      (void)fifobus::ParseSegmentFile(input.Rest());
  }
  return 0;
}
