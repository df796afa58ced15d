#include "broker/seam/chunk.h"

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace fifobus {
namespace {

TEST(Chunk, LivesUntilItsLastReferenceIsGone) {
  ChunkRef first = Chunk::Make(100);
  EXPECT_EQ(first->capacity(), 100u);
  EXPECT_TRUE(first.unique());
  std::memset(first->bytes(), 'x', 100);
  ChunkRef second = first;
  EXPECT_FALSE(first.unique());
  first = ChunkRef();
  EXPECT_FALSE(static_cast<bool>(first));
  EXPECT_TRUE(second.unique());
  EXPECT_EQ(std::string(second->bytes(), 100), std::string(100, 'x'));
}

TEST(Chunk, MovingAReferenceCountsNothing) {
  ChunkRef first = Chunk::Make(1);
  const ChunkRef second = std::move(first);
  EXPECT_FALSE(static_cast<bool>(first));
  EXPECT_TRUE(second.unique());
  EXPECT_FALSE(ChunkRef().unique());
}

TEST(Chunk, ResizingKeepsTheFrontWhetherSharedOrNot) {
  ChunkRef chunk = Chunk::Make(4);
  std::memcpy(chunk->bytes(), "abcd", 4);
  chunk = Chunk::Resize(std::move(chunk), 1 << 20, 4);
  EXPECT_EQ(chunk->capacity(), size_t{1} << 20);
  EXPECT_EQ(std::string(chunk->bytes(), 4), "abcd");
  const ChunkRef other = chunk;
  std::memset(chunk->bytes() + 4, 'x', 10);
  const ChunkRef smaller = Chunk::Resize(std::move(chunk), 2, 2);
  EXPECT_EQ(std::string(smaller->bytes(), 2), "ab");
  EXPECT_EQ(std::string(other->bytes(), 6), "abcdxx") << "it was shared";
}

TEST(Chunk, ReferencesMayBeDroppedOnAnyThread) {
  for (int round = 0; round < 200; ++round) {
    ChunkRef chunk = Chunk::Make(64);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = chunk]() mutable { copy = ChunkRef(); });
    }
    chunk = ChunkRef();
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace fifobus
