#include "broker/core/logs/log_format.h"

#include <stdio.h>

#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

LogId TestId() {
  LogId id;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    id.bytes[i] = static_cast<char>(i);
  }
  return id;
}

SegmentHeader TestHeader() {
  return {TestId(), 41, 1'796'000'000'000'000'000, {{"till-1", 17, 40}}};
}

BatchHeader TestBatch() {
  BatchHeader header;
  header.body_bytes = 29;
  header.count = 1;
  header.position = 4096;
  header.base_offset = 41;
  header.stored_time_unix_nanos = 1'796'000'000'000'000'001;
  header.synced_offset = 40;
  header.first_sequence = 18;
  header.last_sequence = 18;
  header.publisher = "till-1";
  return header;
}

std::string Encoded(const BatchHeader& header) {
  std::string bytes(header.header_bytes(), '\0');
  EncodeBatchHeader(header, TestId().seed(), bytes.data());
  return bytes;
}

// The bytes in the block of LOG.md that begins with "```hex NAME".
std::string DocumentedBytes(const std::string& name) {
  std::ifstream file("proto/LOG.md");
  EXPECT_TRUE(file.is_open());
  std::string line;
  while (std::getline(file, line) && line != "```hex " + name) {
  }
  std::string bytes;
  while (std::getline(file, line) && line != "```") {
    // Two spaces stand before what the bytes mean.
    std::istringstream digits(line.substr(0, line.find("  ")));
    for (std::string byte; digits >> byte;) {
      bytes += static_cast<char>(std::stoi(byte, nullptr, 16));
    }
  }
  EXPECT_FALSE(bytes.empty()) << "LOG.md has no example " << name;
  return bytes;
}

std::string Hex(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    char word[4];
    snprintf(word, sizeof(word), "%02x ", static_cast<unsigned char>(bytes[i]));
    text += word;
    if (i % 8 == 7) text += '\n';
  }
  return text;
}

TEST(LogFormat, TheDocumentedSegmentHeaderIsWhatIsWritten) {
  const std::string begin = DocumentedBytes("segment");
  const std::string hash = DocumentedBytes("segment-hash");
  const std::string bytes = EncodeSegmentHeader(TestHeader());
  ASSERT_EQ(bytes.size(), kSegmentHeaderUnit);
  EXPECT_EQ(Hex(bytes.substr(0, begin.size())), Hex(begin));
  EXPECT_EQ(bytes.find_first_not_of('\0', begin.size()),
            bytes.size() - hash.size());
  EXPECT_EQ(Hex(bytes.substr(bytes.size() - hash.size())), Hex(hash));
}

TEST(LogFormat, TheDocumentedBatchIsWhatIsWritten) {
  const std::string documented = DocumentedBytes("batch");
  const std::string body = DocumentedBytes("batch-body");
  BatchHeader header = TestBatch();
  header.body_bytes = static_cast<uint32_t>(body.size());
  header.body_hash = LogHash(body, TestId().seed());
  EXPECT_EQ(Hex(Encoded(header)), Hex(documented));
}

TEST(LogFormat, ASegmentHeaderIsReadAsItWasWritten) {
  SegmentHeader header = TestHeader();
  for (int i = 0; i < 1000; ++i) {
    header.publishers.push_back(
        {std::string(static_cast<size_t>(i % 256), 'p'), 1u << (i % 30), 7});
  }
  const std::string bytes = EncodeSegmentHeader(header);
  EXPECT_EQ(bytes.size() % kSegmentHeaderUnit, 0u);
  const DecodedSegmentHeader decoded = DecodeSegmentHeader(bytes);
  ASSERT_EQ(decoded.fault, HeaderFault::kNone);
  EXPECT_EQ(decoded.header, header);
  EXPECT_EQ(decoded.header_bytes, bytes.size());
  // The first page says how much more is needed.
  const DecodedSegmentHeader partial =
      DecodeSegmentHeader(bytes.substr(0, kSegmentHeaderUnit));
  EXPECT_EQ(partial.fault, HeaderFault::kPartial);
  EXPECT_EQ(partial.header_bytes, bytes.size());
}

TEST(LogFormat, EveryFlippedBitOfASegmentHeaderIsSeen) {
  const std::string bytes = EncodeSegmentHeader(TestHeader());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const HeaderFault fault = DecodeSegmentHeader(flipped).fault;
    ASSERT_TRUE(fault == HeaderFault::kDamaged ||
                fault == HeaderFault::kPartial)
        << bit;
  }
}

TEST(LogFormat, ANewerVersionIsToldFromDamage) {
  std::string bytes = EncodeSegmentHeader(TestHeader());
  bytes[8] = 2;
  EXPECT_EQ(DecodeSegmentHeader(bytes).fault, HeaderFault::kDamaged);
  const uint64_t hash =
      LogHash(bytes.substr(0, bytes.size() - 8), TestId().seed());
  bytes.replace(bytes.size() - 8, 8,
                std::string(reinterpret_cast<const char*>(&hash), 8));
  EXPECT_EQ(DecodeSegmentHeader(bytes).fault, HeaderFault::kNewerVersion);
}

TEST(LogFormat, ABatchHeaderIsReadAsItWasWritten) {
  for (size_t name_bytes : {0, 1, 7, 8, 9, 255}) {
    BatchHeader header = TestBatch();
    header.publisher = std::string(name_bytes, 'n');
    const std::string bytes = Encoded(header);
    EXPECT_EQ(bytes.size() % kBatchAlignment, 0u);
    const DecodedBatchHeader decoded =
        DecodeBatchHeader(bytes + "more", TestId().seed(), 4096);
    ASSERT_EQ(decoded.fault, HeaderFault::kNone);
    EXPECT_EQ(decoded.header, header);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_EQ(
          DecodeBatchHeader(bytes.substr(0, size), TestId().seed(), 4096).fault,
          HeaderFault::kPartial);
    }
  }
}

TEST(LogFormat, EveryFlippedBitOfABatchHeaderIsSeen) {
  const std::string bytes = Encoded(TestBatch()) + std::string(400, '\0');
  const size_t header_bytes = TestBatch().header_bytes();
  for (size_t bit = 0; bit < header_bytes * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    ASSERT_EQ(DecodeBatchHeader(flipped, TestId().seed(), 4096).fault,
              HeaderFault::kDamaged)
        << bit;
  }
}

TEST(LogFormat, ABatchOfAnotherLogOrAnotherPlaceIsNoBatch) {
  const std::string bytes = Encoded(TestBatch());
  LogId other = TestId();
  other.bytes[0] = 'x';
  EXPECT_EQ(DecodeBatchHeader(bytes, other.seed(), 4096).fault,
            HeaderFault::kDamaged);
  EXPECT_EQ(DecodeBatchHeader(bytes, TestId().seed(), 4104).fault,
            HeaderFault::kDamaged);
}

TEST(LogFormat, AHashOfPiecesIsTheHashOfTheWhole) {
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += static_cast<char>(i * i);
  for (size_t size : {0, 1, 16, 17, 240, 241, 1024, 5000}) {
    const std::string_view part = std::string_view(bytes).substr(0, size);
    LogHasher hasher(7);
    hasher.Add(part.substr(0, size / 3));
    hasher.Add(part.substr(size / 3));
    EXPECT_EQ(hasher.hash(), LogHash(part, 7)) << size;
  }
}

TEST(LogFormat, AnIndexIsReadOnlyByTheSegmentThatWroteIt) {
  const std::vector<IndexEntry> entries = {{41, 4096, 5}, {99, 70000, 6}};
  const std::string bytes = EncodeIndex(1, 41, entries);
  EXPECT_EQ(DecodeIndex(bytes, 1, 41), entries);
  EXPECT_EQ(DecodeIndex(bytes, 2, 41), std::nullopt);
  EXPECT_EQ(DecodeIndex(bytes, 1, 42), std::nullopt);
  EXPECT_EQ(DecodeIndex(bytes.substr(0, 40), 1, 41), std::nullopt);
  EXPECT_EQ(DecodeIndex("", 1, 41), std::nullopt);
}

TEST(LogFormat, ASegmentHasOneName) {
  EXPECT_EQ(SegmentFile({41, 0}), "00000000000000000041.seg");
  EXPECT_EQ(SegmentFile({41, 3}), "00000000000000000041-3.seg");
  EXPECT_EQ(ParseSegmentFile("00000000000000000041-3.seg"),
            (SegmentName{41, 3}));
  for (const char* name :
       {"41.seg", "00000000000000000041-0.seg", "00000000000000000041-03.seg",
        "00000000000000000041.seg.new", "00000000000000000041.idx",
        "0000000000000000004x.seg", ".seg", "00000000000000000041-.seg",
        "99999999999999999999.seg", "00000000000000000041-3x.seg"}) {
    EXPECT_EQ(ParseSegmentFile(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace fifobus
