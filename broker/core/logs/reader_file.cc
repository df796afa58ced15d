#include "broker/core/logs/reader_file.h"

#include <cstring>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/logs/log_outcome.h"
#include "broker/core/logs/segment.h"

namespace fifobus {
namespace {

constexpr std::string_view kReadersFile = "readers";
constexpr std::string_view kNewFile = "readers.new";
constexpr std::string_view kDamagedFile = "readers.torn";

// proto/LOG.md.
constexpr std::string_view kMagic = "FIFORDR\n";
constexpr size_t kFixedBytes = 40;
constexpr size_t kHashBytes = 8;
constexpr size_t kReaderFixedBytes = 16;
constexpr size_t kRangeBytes = 16;

// Above this a file is damaged: more than any broker writes.
constexpr uint64_t kFileBytesMax = uint64_t{1} << 30;

template <typename Number>
void Append(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

// Takes numbers and texts from the front, and says when there were too few
// bytes.
//
// Thread-compatible.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename Number>
  Number Take() {
    Number number = 0;
    const std::string_view bytes = TakeText(sizeof(number));
    if (!bytes.empty()) std::memcpy(&number, bytes.data(), sizeof(number));
    return number;
  }
  std::string_view TakeText(size_t size) {
    if (size > bytes_.size()) {
      short_ = true;
      return {};
    }
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  bool is_short() const { return short_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool short_ = false;
};

void AppendReader(const ReaderRecord& reader, size_t ranges_max,
                  std::string& out) {
  std::string ranges;
  uint32_t count = 0;
  reader.done_above.ForEach([&](uint64_t first, uint64_t last) {
    if (count == ranges_max) return;
    ++count;
    Append(ranges, first);
    Append(ranges, last);
  });
  Append(out, reader.position);
  Append(out, count);
  Append(out, static_cast<uint8_t>(reader.name.size()));
  Append(out, static_cast<uint8_t>(reader.pattern.size()));
  Append(out, static_cast<uint8_t>(reader.group.size()));
  Append(out, uint8_t{0});
  out += reader.name + reader.pattern + reader.group + ranges;
}

ReaderRecord TakeReader(ByteReader& bytes) {
  ReaderRecord reader;
  reader.position = bytes.Take<uint64_t>();
  const auto ranges = bytes.Take<uint32_t>();
  const auto name_bytes = bytes.Take<uint8_t>();
  const auto pattern_bytes = bytes.Take<uint8_t>();
  const auto group_bytes = bytes.Take<uint8_t>();
  (void)bytes.Take<uint8_t>();
  reader.name = bytes.TakeText(name_bytes);
  reader.pattern = bytes.TakeText(pattern_bytes);
  reader.group = bytes.TakeText(group_bytes);
  for (uint32_t i = 0; i < ranges && !bytes.is_short(); ++i) {
    const auto first = bytes.Take<uint64_t>();
    const auto last = bytes.Take<uint64_t>();
    if (first > reader.position && first <= last) {
      reader.done_above.Add(first, last);
    }
  }
  return reader;
}

void PutAside(Disk& disk, std::string_view log_name) {
  const DiskResult renamed =
      disk.Rename(std::string(kReadersFile), std::string(kDamagedFile));
  LogError("log readers damaged: the positions of its durable readers are lost",
           {{"log", log_name},
            {"kept_as", renamed.ok() ? kDamagedFile : "nothing"}});
}

}  // namespace

static_assert(kReaderFixedBytes == 8 + 4 + 4 && kRangeBytes == 2 * 8);

std::string EncodeReaders(const LogId& log_id,
                          const std::vector<ReaderRecord>& readers,
                          size_t ranges_max) {
  std::string out(kMagic);
  Append(out, kLogVersion);
  Append(out, static_cast<uint32_t>(readers.size()));
  out.append(log_id.bytes.data(), log_id.bytes.size());
  Append(out, uint64_t{0});
  for (const ReaderRecord& reader : readers) {
    AppendReader(reader, ranges_max, out);
  }
  Append(out, LogHash(out, log_id.seed()));
  return out;
}

DecodedReaders DecodeReaders(std::string_view bytes, const LogId& log_id) {
  DecodedReaders decoded;
  decoded.fault = HeaderFault::kDamaged;
  if (bytes.size() < kFixedBytes + kHashBytes || !bytes.starts_with(kMagic)) {
    return decoded;
  }
  ByteReader hash(bytes.substr(bytes.size() - kHashBytes));
  bytes.remove_suffix(kHashBytes);
  if (hash.Take<uint64_t>() != LogHash(bytes, log_id.seed())) return decoded;
  ByteReader reader(bytes.substr(kMagic.size()));
  if (reader.Take<uint32_t>() > kLogVersion) {
    decoded.fault = HeaderFault::kNewerVersion;
    return decoded;
  }
  const auto count = reader.Take<uint32_t>();
  const std::string_view id = reader.TakeText(log_id.bytes.size());
  if (id != std::string_view(log_id.bytes.data(), log_id.bytes.size())) {
    return decoded;
  }
  (void)reader.Take<uint64_t>();
  for (uint32_t i = 0; i < count && !reader.is_short(); ++i) {
    decoded.readers.push_back(TakeReader(reader));
  }
  if (reader.is_short() || !reader.at_end()) {
    decoded.readers.clear();
  } else {
    decoded.fault = HeaderFault::kNone;
  }
  return decoded;
}

LoadedReaders ReadReaders(Disk& disk, const LogId& log_id) {
  LoadedReaders loaded;
  const OpenedFile opened = disk.Open(std::string(kReadersFile));
  loaded.result = opened.result;
  if (loaded.result.outcome == DiskOutcome::kMissing) loaded.result = {};
  if (!opened.file) return loaded;
  const FileText read = ReadFileText(*opened.file, kFileBytesMax);
  loaded.result = read.result;
  if (!read.result.ok()) return loaded;
  DecodedReaders decoded = DecodeReaders(read.text, log_id);
  loaded.fault = decoded.fault;
  loaded.readers = std::move(decoded.readers);
  return loaded;
}

LoadedReaders LoadReaders(Disk& disk, const LogId& log_id,
                          std::string_view log_name) {
  LoadedReaders loaded = ReadReaders(disk, log_id);
  if (loaded.fault != HeaderFault::kNone &&
      loaded.fault != HeaderFault::kNewerVersion) {
    PutAside(disk, log_name);
    loaded.fault = HeaderFault::kNone;
  }
  return loaded;
}

DiskResult StoreReaders(Disk& disk, std::string_view bytes) {
  const std::string name(kNewFile);
  // Of an attempt before. After a sync that failed its pages are not trusted.
  (void)disk.Remove(name);
  const OpenedFile made = disk.Create(name);
  if (!made.result.ok()) return made.result;
  DiskResult result = WriteWhole(*made.file, 0, bytes);
  if (result.ok()) result = made.file->Sync();
  if (result.ok()) result = disk.Rename(name, std::string(kReadersFile));
  if (result.ok()) result = disk.SyncFolder();
  return result;
}

}  // namespace fifobus
