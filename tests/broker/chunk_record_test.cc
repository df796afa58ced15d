#include "broker/upgrade/chunk_record.h"

#include <unistd.h>

#include <string>

#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_file.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

pb::state::Chunk Head(uint64_t number, uint64_t begin) {
  pb::state::Chunk chunk;
  chunk.set_number(number);
  chunk.set_begin(begin);
  return chunk;
}

pb::state::Record HeaderRecord() {
  pb::state::Record record;
  record.mutable_header()->set_needs(1);
  record.mutable_header()->set_format(1);
  return record;
}

TEST(ChunkRecordTest, ItIsARecordAsAnyToOthers) {
  for (const size_t size :
       {size_t{1}, size_t{127}, size_t{128}, size_t{70'000}, size_t{3} << 20}) {
    const std::string bytes(size, 'x');
    const std::string written =
        ChunkRecordHead(Head(300, 1 << 20), size) + bytes;
    pb::state::Record record;
    ASSERT_TRUE(record.ParseFromString(written));
    EXPECT_EQ(record.chunk().number(), 300u);
    EXPECT_EQ(record.chunk().begin(), uint64_t{1} << 20);
    EXPECT_TRUE(record.chunk().bytes() == bytes);
    EXPECT_TRUE(record.SerializeAsString() == written);
  }
}

TEST(ChunkRecordTest, ItsBytesAreFoundWhereTheyLie) {
  const std::string written = ChunkRecordHead(Head(7, 0), 5) + "bytes";
  const auto split = SplitChunkRecord(written);
  ASSERT_TRUE(split.has_value());
  EXPECT_EQ(split->chunk.number(), 7u);
  EXPECT_EQ(split->chunk.begin(), 0u);
  EXPECT_EQ(split->bytes, "bytes");
  EXPECT_EQ(split->bytes.data(), written.data() + written.size() - 5);
}

TEST(ChunkRecordTest, OthersAreNone) {
  EXPECT_FALSE(SplitChunkRecord("").has_value());
  EXPECT_FALSE(
      SplitChunkRecord(HeaderRecord().SerializeAsString()).has_value());
  const std::string written = ChunkRecordHead(Head(7, 9), 5) + "bytes";
  for (size_t size = 0; size < written.size(); ++size) {
    EXPECT_FALSE(SplitChunkRecord(written.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(SplitChunkRecord(written + "x").has_value());
}

TEST(ChunkRecordTest, ChunksLieBetweenOtherRecordsOfAState) {
  const std::string bytes(100'000, 'c');
  StateWriter rest;
  pb::state::Record counters;
  (*counters.mutable_counters()->mutable_counts())["a"] = 5;
  rest.Add(counters);
  rest.AddChunk(Head(2, 3), "second");
  StateWriter writer;
  writer.Add(HeaderRecord());
  writer.AddChunk(Head(1, 0), bytes);
  writer.Append(rest);
  writer.Add(counters);
  const auto file = writer.Finish();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->records, 5u);
  EXPECT_EQ(lseek(file->fd.get(), 0, SEEK_END),
            static_cast<off_t>(file->bytes));

  auto reader = StateReader::Open(file->fd.get());
  ASSERT_TRUE(reader.ok()) << reader.status();
  auto record = reader->Next();
  EXPECT_EQ((**record).chunk().number(), 1u);
  EXPECT_TRUE(reader->chunk_bytes() == bytes);
  record = reader->Next();
  EXPECT_EQ((**record).counters().counts().at("a"), 5u);
  EXPECT_EQ(reader->chunk_bytes(), "");
  record = reader->Next();
  EXPECT_EQ((**record).chunk().begin(), 3u);
  EXPECT_EQ(reader->chunk_bytes(), "second");
  EXPECT_TRUE((*reader->Next())->has_counters());
  EXPECT_FALSE(reader->Next()->has_value());
}

}  // namespace
}  // namespace fifobus
