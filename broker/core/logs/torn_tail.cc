#include "broker/core/logs/torn_tail.h"

#include <algorithm>
#include <vector>

#include "broker/core/logs/segment.h"
#include "fmt/format.h"

namespace fifobus {
namespace {

constexpr std::string_view kEnding = ".torn";
// What one read and write of a copy takes. Not tuned.
constexpr size_t kCopyBytes = size_t{256} << 10;

DiskResult Copy(const DiskFile& from, uint64_t position, uint64_t end,
                DiskFile& to) {
  std::string window(std::min<uint64_t>(kCopyBytes, end - position), '\0');
  for (uint64_t copied = 0; position < end;) {
    const DiskResult read =
        from.ReadAt(position, window.data(),
                    std::min<uint64_t>(window.size(), end - position));
    if (!read.ok()) return read;
    if (read.bytes == 0) break;
    const DiskResult written =
        WriteWhole(to, copied, std::string_view(window).substr(0, read.bytes));
    if (!written.ok()) return written;
    position += read.bytes;
    copied += read.bytes;
  }
  return to.Sync();
}

void DropOldTornFiles(Disk& disk, size_t files_max) {
  std::vector<std::string> torn;
  for (std::string& name : disk.List().names) {
    if (IsTornFile(name)) torn.push_back(std::move(name));
  }
  std::sort(torn.begin(), torn.end());
  for (size_t i = 0; i + files_max < torn.size(); ++i) {
    (void)disk.Remove(torn[i]);
  }
}

}  // namespace

bool IsTornFile(std::string_view name) { return name.ends_with(kEnding); }

std::string TornFile(Disk& disk, const std::string& file) {
  const std::vector<std::string> names = disk.List().names;
  std::string torn = file + std::string(kEnding);
  for (int number = 1; std::count(names.begin(), names.end(), torn) > 0;
       ++number) {
    torn = fmt::format("{}-{}{}", file, number, kEnding);
  }
  return torn;
}

DiskResult KeepAndCutTail(Disk& disk, DiskFile& file, const std::string& name,
                          uint64_t position, uint64_t file_bytes,
                          size_t files_max) {
  const std::string torn_name = TornFile(disk, name);
  const OpenedFile torn = disk.Create(torn_name);
  if (!torn.result.ok()) return torn.result;
  const DiskResult copied = Copy(file, position, file_bytes, *torn.file);
  if (!copied.ok()) {
    (void)disk.Remove(torn_name);
    return copied;
  }
  DropOldTornFiles(disk, files_max);
  DiskResult result = disk.SyncFolder();
  if (result.ok()) result = file.Truncate(position);
  if (result.ok()) result = file.Sync();
  return result;
}

}  // namespace fifobus
