#include "tests/support/simulated_disk.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "fmt/format.h"

namespace fifobus {
namespace {

constexpr uint64_t kSectorBytes = 512;

void CopySector(const std::string& from, std::string& to, uint64_t sector) {
  const uint64_t begin = sector * kSectorBytes;
  if (begin >= to.size() || begin >= from.size()) return;
  const uint64_t end =
      std::min<uint64_t>({begin + kSectorBytes, from.size(), to.size()});
  std::memcpy(&to[begin], &from[begin], end - begin);
}

}  // namespace

class SimulatedFile : public DiskFile {
 public:
  SimulatedFile(SimulatedMachine& machine, std::string name,
                std::shared_ptr<SimulatedMachine::Inode> inode)
      : machine_(machine), name_(std::move(name)), inode_(std::move(inode)) {}

  DiskResult WriteAt(uint64_t position,
                     absl::Span<const std::string_view> parts) override {
    std::string bytes;
    for (std::string_view part : parts) bytes += part;
    const bool dies = machine_.calls_left_ == 1;
    const DiskResult begun = machine_.Begin("write", name_);
    if (!begun.ok()) return begun;
    std::string& cache = inode_->cache;
    const uint64_t end = position + bytes.size();
    const uint64_t grows = end > cache.size() ? end - cache.size() : 0;
    const uint64_t used = machine_.used_bytes();
    const uint64_t room =
        machine_.capacity_bytes > used ? machine_.capacity_bytes - used : 0;
    if (grows > room) {
      const uint64_t fits = bytes.size() - std::min(grows - room, bytes.size());
      if (fits == 0) return {DiskOutcome::kNoRoom, 0, ENOSPC};
      bytes.resize(fits);
    }
    if (bytes.size() > 1 &&
        (dies || machine_.Draw(1000) < machine_.short_per_mille)) {
      bytes.resize(1 + machine_.Draw(static_cast<uint32_t>(bytes.size()) - 1));
    }
    Take(position, bytes);
    machine_.Trace(fmt::format("  {} bytes at {}", bytes.size(), position));
    return {DiskOutcome::kDone, bytes.size(), 0};
  }

  DiskResult ReadAt(uint64_t position, char* bytes,
                    size_t size) const override {
    const DiskResult begun = machine_.Begin("read", name_);
    if (!begun.ok()) return begun;
    const std::string& cache = inode_->cache;
    if (position >= cache.size()) return {};
    size = std::min<uint64_t>(size, cache.size() - position);
    if (size > 1 && machine_.Draw(1000) < machine_.short_per_mille) {
      size = 1 + machine_.Draw(static_cast<uint32_t>(size) - 1);
    }
    std::memcpy(bytes, &cache[position], size);
    return {DiskOutcome::kDone, size, 0};
  }

  DiskResult Sync() override {
    DiskResult begun = machine_.Begin("fdatasync", name_);
    // The process may have been killed before it, or behind it.
    if (machine_.dead() && (!begun.ok() || machine_.Draw(2) == 0)) {
      return {DiskOutcome::kFailed, 0, EIO};
    }
    if (begun.ok() && machine_.Draw(1000) < machine_.sync_failures_per_mille) {
      begun = machine_.Fault();
    }
    if (machine_.failing_syncs > 0) {
      --machine_.failing_syncs;
      begun = {DiskOutcome::kFailed, 0, EIO};
    }
    // What a failed one was to write is clean then, written or not.
    const bool any = !begun.ok();
    if (!any || machine_.Draw(2) == 0)
      inode_->disk.resize(inode_->cache.size());
    for (uint64_t sector : inode_->dirty) {
      if (any && machine_.Draw(2) == 0) continue;
      CopySector(inode_->cache, inode_->disk, sector);
    }
    inode_->dirty.clear();
    return begun;
  }

  DiskResult Truncate(uint64_t size) override {
    const DiskResult begun = machine_.Begin("truncate", name_);
    if (begun.ok()) inode_->cache.resize(size);
    return begun;
  }

  DiskResult Size() const override {
    const DiskResult begun = machine_.Begin("size", name_);
    if (!begun.ok()) return begun;
    return {DiskOutcome::kDone, inode_->cache.size(), 0};
  }

 private:
  void Take(uint64_t position, const std::string& bytes) {
    std::string& cache = inode_->cache;
    cache.resize(std::max<uint64_t>(cache.size(), position + bytes.size()));
    std::memcpy(&cache[position], bytes.data(), bytes.size());
    const uint64_t last = (position + bytes.size() - 1) / kSectorBytes;
    for (uint64_t sector = position / kSectorBytes; sector <= last; ++sector) {
      inode_->dirty.insert(sector);
    }
  }

  SimulatedMachine& machine_;
  const std::string name_;
  const std::shared_ptr<SimulatedMachine::Inode> inode_;
};

class SimulatedDisk : public Disk {
 public:
  explicit SimulatedDisk(SimulatedMachine& machine) : machine_(machine) {}

  OpenedFile Create(const std::string& name) override {
    const DiskResult begun = machine_.Begin("create", name);
    if (!begun.ok()) return {begun, nullptr};
    if (machine_.names_.contains(name)) {
      return {{DiskOutcome::kExists, 0, EEXIST}, nullptr};
    }
    auto inode = std::make_shared<SimulatedMachine::Inode>();
    machine_.Apply({{name, inode}});
    return {{}, std::make_shared<SimulatedFile>(machine_, name, inode)};
  }

  OpenedFile Open(const std::string& name) override {
    const DiskResult begun = machine_.Begin("open", name);
    if (!begun.ok()) return {begun, nullptr};
    const auto found = machine_.names_.find(name);
    if (found == machine_.names_.end()) {
      return {{DiskOutcome::kMissing, 0, ENOENT}, nullptr};
    }
    return {{}, std::make_shared<SimulatedFile>(machine_, name, found->second)};
  }

  FolderListing List() override {
    FolderListing listing;
    listing.result = machine_.Begin("list", "");
    if (!listing.result.ok()) return listing;
    for (const auto& [name, inode] : machine_.names_) {
      listing.names.push_back(name);
    }
    return listing;
  }

  DiskResult Rename(const std::string& from, const std::string& to) override {
    const DiskResult begun = machine_.Begin("rename", from + " " + to);
    if (!begun.ok()) return begun;
    const auto found = machine_.names_.find(from);
    if (found == machine_.names_.end()) {
      return {DiskOutcome::kMissing, 0, ENOENT};
    }
    machine_.Apply({{from, nullptr}, {to, found->second}});
    return {};
  }

  DiskResult Remove(const std::string& name) override {
    const DiskResult begun = machine_.Begin("remove", name);
    if (!begun.ok()) return begun;
    if (!machine_.names_.contains(name)) {
      return {DiskOutcome::kMissing, 0, ENOENT};
    }
    machine_.Apply({{name, nullptr}});
    return {};
  }

  DiskResult SyncFolder() override {
    const DiskResult begun = machine_.Begin("sync folder", "");
    if (!begun.ok()) return begun;
    machine_.names_on_disk_ = machine_.names_;
    machine_.changes_.clear();
    return {};
  }

  DiskResult Lock() override {
    const DiskResult begun = machine_.Begin("lock", "");
    if (!begun.ok()) return begun;
    if (machine_.locked_) return {DiskOutcome::kLocked, 0, EWOULDBLOCK};
    machine_.locked_ = true;
    return {};
  }

 private:
  SimulatedMachine& machine_;
};

std::unique_ptr<Disk> SimulatedMachine::Mount() {
  return std::make_unique<SimulatedDisk>(*this);
}

DiskResult SimulatedMachine::Begin(const char* call, const std::string& name) {
  if (tracing) Trace(fmt::format("{} {}", call, name));
  if (dead()) return {DiskOutcome::kFailed, 0, EIO};
  if (calls_left_ != UINT32_MAX) --calls_left_;
  if (Draw(1000) < failures_per_mille) return Fault();
  return {};
}

DiskResult SimulatedMachine::Fault() {
  const bool room = Draw(2) == 0;
  Trace(room ? "  no room" : "  I/O error");
  if (room) return {DiskOutcome::kNoRoom, 0, ENOSPC};
  return {DiskOutcome::kFailed, 0, EIO};
}

void SimulatedMachine::Trace(std::string line) {
  if (tracing) trace_.push_back(std::move(line));
}

void SimulatedMachine::Apply(const FolderChange& change) {
  for (const auto& [name, inode] : change) {
    if (inode) {
      names_[name] = inode;
    } else {
      names_.erase(name);
    }
  }
  changes_.push_back(change);
}

void SimulatedMachine::Kill() {
  Trace("KILL");
  calls_left_ = UINT32_MAX;
  locked_ = false;
}

void SimulatedMachine::CutPower() {
  Kill();
  Trace("POWER CUT");
  const size_t kept = Draw(static_cast<uint32_t>(changes_.size()) + 1);
  names_ = names_on_disk_;
  for (size_t i = 0; i < kept; ++i) {
    for (const auto& [name, inode] : changes_[i]) {
      if (inode) {
        names_[name] = inode;
      } else {
        names_.erase(name);
      }
    }
  }
  changes_.clear();
  names_on_disk_ = names_;
  for (const auto& [name, inode] : names_) LosePower(*inode);
}

void SimulatedMachine::LosePower(Inode& inode) {
  uint64_t size = inode.disk.size();
  if (Draw(2) == 0) size = inode.cache.size();
  if (inode.cache.size() > inode.disk.size() && Draw(2) == 0) {
    size = inode.disk.size() +
           Draw(static_cast<uint32_t>(inode.cache.size() - inode.disk.size()));
  }
  inode.disk.resize(size);
  const uint32_t lost_of_4 = Draw(5);
  for (uint64_t sector : inode.dirty) {
    if (Draw(4) < lost_of_4) continue;
    CopySector(inode.cache, inode.disk, sector);
  }
  inode.dirty.clear();
  inode.cache = inode.disk;
}

std::map<std::string, std::string> SimulatedMachine::files() const {
  std::map<std::string, std::string> files;
  for (const auto& [name, inode] : names_) files[name] = inode->cache;
  return files;
}

void SimulatedMachine::Put(const std::string& name, const std::string& bytes) {
  auto inode = std::make_shared<Inode>();
  inode->cache = bytes;
  inode->disk = bytes;
  names_[name] = inode;
  names_on_disk_[name] = inode;
}

void SimulatedMachine::Forget(const std::string& name) {
  names_.erase(name);
  names_on_disk_.erase(name);
}

void SimulatedMachine::FlipBit(const std::string& name, uint64_t bit) {
  Inode& inode = *names_.at(name);
  const char mask = static_cast<char>(1 << (bit % 8));
  Trace(fmt::format("FLIP bit {} of byte {} of {}", bit % 8, bit / 8, name));
  inode.cache.at(bit / 8) ^= mask;
  if (bit / 8 < inode.disk.size()) inode.disk[bit / 8] ^= mask;
}

uint64_t SimulatedMachine::used_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [name, inode] : names_) bytes += inode->cache.size();
  return bytes;
}

}  // namespace fifobus
