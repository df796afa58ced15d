#ifndef FIFOBUS_TESTS_SUPPORT_SIMULATED_DISK_H_
#define FIFOBUS_TESTS_SUPPORT_SIMULATED_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "broker/seam/disk.h"

namespace fifobus {

// A machine with one folder on one disk that does from one seed what real ones
// do on bad days. Files have a cache, which everybody sees, and a disk, which is
// what a power cut leaves:
//
// - Of what was written since the last sync, a power cut keeps any set of
//   sectors of 512 bytes, so pages come lost, reordered and torn, and any of
//   the file's sizes in between.
// - Of the names since the folder's last sync it keeps the first few changes,
//   as a journal does.
// - A sync that fails drops what it was to write, as Linux does: the cache goes
//   on showing it, and no later sync writes it.
// - Writes are short. Calls fail. The disk runs full.
//
// Single-threaded.
class SimulatedMachine {
 public:
  explicit SimulatedMachine(uint32_t seed) : random_(seed) {}

  // The folder, for a process that starts now.
  std::unique_ptr<Disk> Mount();

  // The process is gone, its files are not. The disk that it had must not be
  // used any more.
  void Kill();
  // And the machine lost power.
  void CutPower();

  // From the call after `calls` more on, nothing reaches the disk: the process
  // counts as killed within it. Until Kill or CutPower.
  void DieAfter(uint32_t calls) { calls_left_ = calls; }
  bool dead() const { return calls_left_ == 0; }

  // How many of 1,000 calls fail, and how many writes are short.
  uint32_t failures_per_mille = 0;
  uint32_t short_per_mille = 0;
  // How many of 1,000 syncs fail.
  uint32_t sync_failures_per_mille = 0;
  // How many of the next syncs fail.
  uint32_t failing_syncs = 0;
  // What all files may take together.
  uint64_t capacity_bytes = UINT64_MAX;

  // What everybody sees.
  std::map<std::string, std::string> files() const;
  // Changes what everybody sees and what is on disk.
  void Put(const std::string& name, const std::string& bytes);
  void Forget(const std::string& name);
  void FlipBit(const std::string& name, uint64_t bit);
  uint64_t used_bytes() const;

  bool tracing = false;
  const std::vector<std::string>& trace() const { return trace_; }
  void Trace(std::string line);

  uint32_t Draw(uint32_t bound) { return random_() % bound; }

 private:
  friend class SimulatedDisk;
  friend class SimulatedFile;

  struct Inode {
    std::string cache;
    std::string disk;
    std::set<uint64_t> dirty;  // sectors that a sync writes
  };
  using Folder = std::map<std::string, std::shared_ptr<Inode>>;
  // Names that change together; null: the name goes.
  using FolderChange = Folder;

  // What the call comes to before it does anything.
  DiskResult Begin(const char* call, const std::string& name);
  DiskResult Fault();
  void Apply(const FolderChange& change);
  void LosePower(Inode& inode);

  std::mt19937 random_;
  uint32_t calls_left_ = UINT32_MAX;
  bool locked_ = false;
  Folder names_;
  Folder names_on_disk_;
  std::vector<FolderChange> changes_;  // since the folder's last sync
  std::vector<std::string> trace_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_SIMULATED_DISK_H_
