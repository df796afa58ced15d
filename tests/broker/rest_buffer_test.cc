#include "broker/io/rest_buffer.h"

#include <cstring>
#include <string>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr size_t kChunkBytes = size_t{64} << 10;

// Reads as an ingress does: `bytes` go behind the rest, and the feed takes
// `taken` of all from the front and wants `wanted`.
void ReadAndKeep(RestBuffer& buffer, std::string_view bytes, size_t taken,
                 size_t wanted) {
  ChunkRef chunk;
  if (buffer.is_assembling()) {
    chunk = buffer.Assembly();
  } else {
    chunk = Chunk::Make(kChunkBytes);
    buffer.CopyTo(*chunk.get());
  }
  const size_t before = buffer.bytes();
  ASSERT_LE(before + bytes.size(), chunk->capacity());
  std::memcpy(chunk->bytes() + before, bytes.data(), bytes.size());
  const std::string_view all(chunk->bytes(), before + bytes.size());
  buffer.Keep(all.substr(taken), wanted);
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 >> 3);
  return bytes;
}

TEST(RestBufferTest, ASmallRestGoesToTheFrontOfTheNextChunk) {
  RestBuffer buffer(kChunkBytes);
  ReadAndKeep(buffer, "whole+beg", /*taken=*/6, /*wanted=*/5);
  EXPECT_EQ(buffer.rest(), "beg");
  EXPECT_EQ(buffer.bytes(), 3u);
  EXPECT_FALSE(buffer.is_assembling());
  ReadAndKeep(buffer, "un", /*taken=*/0, /*wanted=*/9);
  EXPECT_EQ(buffer.rest(), "begun");
}

TEST(RestBufferTest, AFrameThatFitsAChunkIsNeverAssembled) {
  RestBuffer buffer(kChunkBytes);
  const std::string most = Pattern(kChunkBytes - 1);
  ReadAndKeep(buffer, most, /*taken=*/0, /*wanted=*/kChunkBytes);
  EXPECT_FALSE(buffer.is_assembling());
  EXPECT_EQ(buffer.rest(), most);
}

TEST(RestBufferTest, ALargeFrameIsAssembledInPlaceAsItComes) {
  RestBuffer buffer(kChunkBytes);
  const std::string frame = Pattern(size_t{1} << 20);
  ReadAndKeep(buffer, std::string_view(frame).substr(0, 20'000), /*taken=*/0,
              frame.size());
  ASSERT_TRUE(buffer.is_assembling());
  EXPECT_EQ(buffer.wanted_bytes(), frame.size());
  while (buffer.bytes() < frame.size()) {
    const size_t before = buffer.bytes();
    const size_t room = buffer.Assembly()->capacity() - before;
    ASSERT_GT(room, 0u);
    // The buffer grows with what has come, not with what was announced.
    EXPECT_LE(buffer.Assembly()->capacity(), 4 * before);
    ReadAndKeep(buffer, std::string_view(frame).substr(before, room),
                /*taken=*/0, frame.size());
  }
  EXPECT_TRUE(buffer.rest() == frame);
}

TEST(RestBufferTest, TheBeginningOfALargeFrameIsCarriedAtFirst) {
  RestBuffer buffer(kChunkBytes);
  ReadAndKeep(buffer, Pattern(100), /*taken=*/0, /*wanted=*/size_t{16} << 20);
  EXPECT_FALSE(buffer.is_assembling());
  EXPECT_EQ(buffer.bytes(), 100u);
}

TEST(RestBufferTest, BehindAnAssembledFrameTheNextIsCarried) {
  RestBuffer buffer(kChunkBytes);
  const std::string frame = Pattern(kChunkBytes + 10'000);
  ReadAndKeep(buffer, std::string_view(frame).substr(0, 50'000), /*taken=*/0,
              frame.size());
  ASSERT_TRUE(buffer.is_assembling());
  // The feed takes all but the last byte, which lies in the assembly.
  ReadAndKeep(buffer, std::string_view(frame).substr(50'000),
              /*taken=*/frame.size() - 1, /*wanted=*/4);
  EXPECT_FALSE(buffer.is_assembling());
  EXPECT_EQ(buffer.rest(), frame.substr(frame.size() - 1));
  EXPECT_EQ(buffer.wanted_bytes(), 0u);
}

TEST(RestBufferTest, ALargeFrameBehindALargeOneHasAnAssemblyOfItsOwn) {
  RestBuffer buffer(kChunkBytes);
  const std::string frame = Pattern(kChunkBytes + 20'000);
  ReadAndKeep(buffer, std::string_view(frame).substr(0, 50'000), /*taken=*/0,
              frame.size());
  const ChunkRef first = buffer.Assembly();
  ReadAndKeep(buffer, std::string_view(frame).substr(50'000),
              /*taken=*/frame.size() - 20'000, /*wanted=*/frame.size());
  ASSERT_TRUE(buffer.is_assembling());
  EXPECT_NE(buffer.Assembly().get(), first.get());
  EXPECT_TRUE(buffer.rest() == frame.substr(frame.size() - 20'000));
}

TEST(RestBufferTest, ClearForgetsBothKindsOfRest) {
  RestBuffer buffer(kChunkBytes);
  ReadAndKeep(buffer, "beg", /*taken=*/0, /*wanted=*/5);
  buffer.Clear();
  EXPECT_EQ(buffer.bytes(), 0u);
  ReadAndKeep(buffer, Pattern(20'000), /*taken=*/0, /*wanted=*/100'000);
  buffer.Clear();
  EXPECT_EQ(buffer.bytes(), 0u);
  EXPECT_EQ(buffer.rest(), "");
  EXPECT_FALSE(buffer.is_assembling());
}

}  // namespace
}  // namespace fifobus
