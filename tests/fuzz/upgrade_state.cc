// Any bytes as the state that one broker hands to the next: they are refused, or
// each record that is read is written and read again as the same, and its
// descriptors are found.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/unique_fd.h"
#include "broker/upgrade/state_descriptors.h"
#include "broker/upgrade/state_file.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

std::vector<std::string> RecordsOf(int fd) {
  std::vector<std::string> records;
  auto reader = StateReader::Open(fd);
  if (!reader.ok()) return records;
  Require(reader->header().needs() <= kStateFormat, "a newer state is refused");
  records.push_back(reader->header().SerializeAsString());
  while (true) {
    const auto record = reader->Next();
    if (!record.ok() || !*record) return records;
    records.push_back((*record)->SerializeAsString());
    Require(reader->records() == records.size(), "records are counted");
  }
}

pb::state::Record RecordOf(const std::vector<std::string>& records, size_t i) {
  pb::state::Record record;
  const bool is_read =
      i == 0 ? record.mutable_header()->ParseFromString(records[i])
             : record.ParseFromString(records[i]);
  Require(is_read, "a record parses again");
  return record;
}

void WriteAnew(const std::vector<std::string>& records) {
  auto writer = StateWriter::Create();
  Require(writer.ok(), "a state is made");
  for (size_t i = 0; i < records.size(); ++i) {
    const pb::state::Record record = RecordOf(records, i);
    Require(writer->Add(record).ok(), "a record is added");
    (void)DescriptorsOf(record);
  }
  Require(writer->Finish().ok(), "the state is finished");
  Require(RecordsOf(writer->fd()) == records, "what was written is the same");
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
  const std::vector<std::string> records = RecordsOf(state.get());
  if (!records.empty()) WriteAnew(records);
  return 0;
}
