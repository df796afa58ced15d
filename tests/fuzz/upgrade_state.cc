// Any bytes as the state that one broker hands to the next: they are refused, or
// each record that is read is written and read again as the same.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/unique_fd.h"
#include "broker/state/broker_state.pb.h"
#include "broker/upgrade/state_dialect.h"
#include "broker/upgrade/state_file.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// A record without the bytes of its chunk, and they.
struct Read {
  std::string record;
  std::string chunk_bytes;

  bool operator==(const Read&) const = default;
};

Read ReadOf(pb::state::Record record, std::string_view chunk_bytes) {
  Read read;
  read.chunk_bytes = chunk_bytes;
  if (record.has_chunk()) {
    // A record that this program would not write so has them in it.
    read.chunk_bytes += record.chunk().bytes();
    record.mutable_chunk()->clear_bytes();
  }
  read.record = record.SerializeAsString();
  return read;
}

std::vector<Read> RecordsOf(int fd) {
  std::vector<Read> records;
  auto reader = StateReader::Open(fd);
  if (!reader.ok()) return records;
  Require(reader->header().needs() <= DialectOfThisProgram().format,
          "a newer state is refused");
  pb::state::Record header;
  *header.mutable_header() = reader->header();
  records.push_back(ReadOf(header, ""));
  while (true) {
    const auto record = reader->Next();
    if (!record.ok() || !*record) return records;
    records.push_back(ReadOf(**record, reader->chunk_bytes()));
    Require(reader->records() == records.size(), "records are counted");
  }
}

void WriteAnew(const std::vector<Read>& records) {
  StateWriter writer;
  for (const Read& read : records) {
    pb::state::Record record;
    Require(record.ParseFromString(read.record), "a record parses again");
    if (record.has_chunk()) {
      writer.AddChunk(record.chunk(), read.chunk_bytes);
    } else {
      writer.Add(record);
    }
  }
  const auto file = writer.Finish();
  Require(file.ok() && file->records == records.size(), "a state is written");
  Require(RecordsOf(file->fd.get()) == records, "what was written is the same");
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  const UniqueFd state(memfd_create("state", MFD_CLOEXEC));
  Require(state.valid() &&
              write(state.get(), data, size) == static_cast<ssize_t>(size),
          "the state is written");
  const std::vector<Read> records = RecordsOf(state.get());
  if (!records.empty()) WriteAnew(records);
  return 0;
}
