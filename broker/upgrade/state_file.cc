#include "broker/upgrade/state_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "broker/upgrade/chunk_record.h"
#include "broker/upgrade/state_descriptors.h"
#include "broker/upgrade/state_dialect.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

// The length in front of each record.
constexpr size_t kLengthBytes = 4;

uint32_t LengthAt(std::string_view bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return length;
}

absl::Status Damaged(uint64_t record, std::string_view how) {
  return absl::DataLossError(
      fmt::format("record {} of the state {}", record, how));
}

absl::Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return absl::ErrnoToStatus(errno, "write the state");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

void StateWriter::AppendLength(size_t length) {
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bytes_ += static_cast<char>(length >> (8 * i) & 0xff);
  }
}

void StateWriter::AddChunk(const pb::state::Chunk& chunk,
                           std::string_view bytes) {
  const std::string head = ChunkRecordHead(chunk, bytes.size());
  AppendLength(head.size() + bytes.size());
  bytes_ += head;
  outside_.push_back({bytes_.size(), bytes});
  ++records_;
}

void StateWriter::Add(const pb::state::Record& record) {
  const size_t length = record.ByteSizeLong();
  if (length > INT32_MAX) {
    status_.Update(absl::ResourceExhaustedError(
        "one record of the state is larger than 2 GiB"));
    return;
  }
  AppendLength(length);
  if (!record.AppendToString(&bytes_)) {
    status_.Update(
        absl::InternalError("a record of the state has no encoding"));
  }
  for (const int fd : DescriptorsOf(record)) descriptors_.push_back(fd);
  ++records_;
}

void StateWriter::Append(const StateWriter& other) {
  status_.Update(other.status_);
  for (const Outside& outside : other.outside_) {
    outside_.push_back({bytes_.size() + outside.position, outside.bytes});
  }
  bytes_ += other.bytes_;
  records_ += other.records_;
  descriptors_.insert(descriptors_.end(), other.descriptors_.begin(),
                      other.descriptors_.end());
}

absl::StatusOr<StateFile> StateWriter::Finish() const {
  if (!status_.ok()) return status_;
  StateFile file = {UniqueFd(memfd_create("fifobus-state", MFD_CLOEXEC)),
                    records_, bytes_.size(), descriptors_};
  if (!file.fd.valid()) return absl::ErrnoToStatus(errno, "memfd_create");
  const std::string_view rest = bytes_;
  size_t position = 0;
  for (const Outside& outside : outside_) {
    absl::Status status = WriteAll(
        file.fd.get(), rest.substr(position, outside.position - position));
    if (status.ok()) status = WriteAll(file.fd.get(), outside.bytes);
    if (!status.ok()) return status;
    position = outside.position;
    file.bytes += outside.bytes.size();
  }
  const absl::Status status = WriteAll(file.fd.get(), rest.substr(position));
  if (!status.ok()) return status;
  return file;
}

absl::StatusOr<StateReader> StateReader::Open(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return absl::ErrnoToStatus(errno, "look at the state");
  }
  if (status.st_size == 0) return Damaged(1, "is missing");
  const auto size = static_cast<size_t>(status.st_size);
  void* const at = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return absl::ErrnoToStatus(errno, "map the state");
  StateReader reader(std::string_view(static_cast<const char*>(at), size));
  absl::Status read = reader.ReadHeader();
  if (!read.ok()) return read;
  return reader;
}

StateReader::StateReader(StateReader&& other) noexcept
    : mapped_(std::exchange(other.mapped_, {})),
      rest_(other.rest_),
      chunk_bytes_(other.chunk_bytes_),
      header_(std::move(other.header_)),
      records_(other.records_) {}

StateReader::~StateReader() {
  if (mapped_.empty()) return;
  (void)munmap(const_cast<char*>(mapped_.data()), mapped_.size());
}

absl::Status StateReader::ReadHeader() {
  auto first = Next();
  if (!first.ok()) return first.status();
  if (!*first || !(*first)->has_header()) return Damaged(1, "is no header");
  header_ = (*first)->header();
  const uint32_t format = DialectOfThisProgram().format;
  if (header_.needs() <= format) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "the state is of fifobus {} and needs format {}, this program knows {}: "
      "stop that broker and start this one",
      header_.version(), header_.needs(), format));
}

absl::StatusOr<std::optional<pb::state::Record>> StateReader::Next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t number = records_ + 1;
  if (rest_.size() < kLengthBytes) return Damaged(number, "is cut");
  const uint32_t length = LengthAt(rest_);
  rest_.remove_prefix(kLengthBytes);
  if (length > rest_.size()) return Damaged(number, "is cut");
  pb::state::Record record;
  chunk_bytes_ = {};
  if (auto chunk = SplitChunkRecord(rest_.substr(0, length))) {
    *record.mutable_chunk() = std::move(chunk->chunk);
    chunk_bytes_ = chunk->bytes;
  } else if (!record.ParseFromArray(rest_.data(), static_cast<int>(length))) {
    return Damaged(number, "cannot be decoded");
  }
  rest_.remove_prefix(length);
  records_ = number;
  return record;
}

}  // namespace fifobus
