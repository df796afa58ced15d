#include "broker/upgrade/chunk_record.h"

#include <cstdint>

#include "broker/state/broker_state.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace fifobus {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using Wire = google::protobuf::internal::WireFormatLite;

constexpr uint32_t TagOf(int field) {
  return Wire::MakeTag(field, Wire::WIRETYPE_LENGTH_DELIMITED);
}
constexpr uint32_t kRecordTag = TagOf(pb::state::Record::kChunkFieldNumber);
constexpr uint32_t kBytesTag = TagOf(pb::state::Chunk::kBytesFieldNumber);

void AppendVarint(uint32_t value, std::string& out) {
  uint8_t bytes[5];
  const uint8_t* const end =
      CodedOutputStream::WriteVarint32ToArray(value, bytes);
  out.append(reinterpret_cast<const char*>(bytes),
             static_cast<size_t>(end - bytes));
}

}  // namespace

std::string ChunkRecordHead(const pb::state::Chunk& chunk, size_t bytes) {
  std::string inner = chunk.SerializeAsString();
  AppendVarint(kBytesTag, inner);
  AppendVarint(static_cast<uint32_t>(bytes), inner);
  std::string head;
  AppendVarint(kRecordTag, head);
  AppendVarint(static_cast<uint32_t>(inner.size() + bytes), head);
  return head + inner;
}

std::optional<ChunkRecord> SplitChunkRecord(std::string_view record) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(record.data()),
                      static_cast<int>(record.size()));
  uint32_t size = 0;
  if (in.ReadTag() != kRecordTag || !in.ReadVarint32(&size)) return {};
  const auto begin = static_cast<size_t>(in.CurrentPosition());
  if (size != record.size() - begin) return {};
  // Numbers come first. What they are is for protobuf to say.
  uint32_t tag = 0;
  int end = in.CurrentPosition();
  while ((tag = in.ReadTag()) != kBytesTag) {
    if (tag == 0 || !Wire::SkipField(&in, tag)) return {};
    end = in.CurrentPosition();
  }
  if (!in.ReadVarint32(&size)) return {};
  const auto bytes = static_cast<size_t>(in.CurrentPosition());
  if (size != record.size() - bytes) return {};
  ChunkRecord split;
  if (!split.chunk.ParseFromArray(record.data() + begin,
                                  end - static_cast<int>(begin))) {
    return {};
  }
  split.bytes = record.substr(bytes);
  return split;
}

}  // namespace fifobus
