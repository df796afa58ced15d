#include "broker/bus/stray_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/io/fifo.h"
#include "broker/io/open_beneath.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

// What is read of the file at once. Not tuned.
constexpr size_t kReadBytes = size_t{64} << 10;

// Where the kernel does not tell whether the file is open for writing, it is
// taken to be whole when it has not grown for so long. Not tuned.
constexpr absl::Duration kQuiet = absl::Seconds(5);

absl::Status Failed(int error, std::string_view what) {
  return absl::ErrnoToStatus(error, std::string(what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StrayFile>> StrayFile::MoveAside(
    const BusDirectory& bus, const std::string& path, size_t line_bytes_max) {
  UniqueFd fd = OpenBeneath(bus.fd(), TopicsPath(path), O_RDONLY | O_NONBLOCK);
  if (!fd.valid()) return Failed(errno, "open the file in its place");
  struct stat status;
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError("it is not a FIFO");
  }
  std::string aside =
      fmt::format("{}.aside-{}", path, absl::GetCurrentTimeNanos());
  // Nothing is replaced, should the name be taken.
  if (renameat2(bus.fd(), TopicsPath(path).c_str(), bus.fd(),
                TopicsPath(aside).c_str(), RENAME_NOREPLACE) != 0) {
    return Failed(errno, "move the file in its place aside");
  }
  return std::unique_ptr<StrayFile>(new StrayFile(
      bus, path, std::move(aside), std::move(fd), line_bytes_max));
}

StrayFile::StrayFile(const BusDirectory& bus, std::string path,
                     std::string aside, UniqueFd fd, size_t line_bytes_max)
    : bus_(bus),
      path_(std::move(path)),
      aside_(std::move(aside)),
      fd_(std::move(fd)),
      line_bytes_max_(line_bytes_max),
      grown_at_(MonotonicNow()) {}

pb::state::StrayFile StrayFile::Export() const {
  pb::state::StrayFile state;
  state.set_path(path_);
  state.set_aside(aside_);
  state.set_file_fd(fd_.get());
  state.set_pending(pending_.substr(moved_));
  state.set_at_end(at_end_);
  state.set_skips_line(skipping_);
  state.set_lines(lines_);
  state.set_lines_refused(lines_refused_);
  return state;
}

std::unique_ptr<StrayFile> StrayFile::Restore(const BusDirectory& bus,
                                              const pb::state::StrayFile& state,
                                              size_t line_bytes_max) {
  auto file = std::unique_ptr<StrayFile>(
      new StrayFile(bus, state.path(), state.aside(), UniqueFd(state.file_fd()),
                    line_bytes_max));
  file->pending_ = state.pending();
  file->at_end_ = state.at_end();
  file->skipping_ = state.skips_line();
  file->lines_ = state.lines();
  file->lines_refused_ = state.lines_refused();
  return file;
}

StrayFile::Progress StrayFile::MoveLines() {
  const FifoOpening fifo =
      OpenFifoForWriting(bus_.fd(), TopicsPath(path_), bus_.trust());
  if (fifo.outcome != FifoOpenOutcome::kOpened) return Progress::kWaits;
  for (size_t moved = 0; moved < kReadBytes;) {
    const std::string_view lines = NextLines();
    if (lines.empty()) {
      const Filled filled = Fill();
      if (filled == Filled::kNothing) return Progress::kWaits;
      if (filled == Filled::kEnd) return Progress::kDone;
      continue;
    }
    if (skipping_ || lines.size() > line_bytes_max_) {
      skipping_ = false;
      ++lines_refused_;
    } else {
      const Slice slice = {lines.data(), lines.size()};
      // So few bytes are written whole or not at all: pipe(7).
      if (WriteFifo(fifo.fd.get(), {&slice, 1}).outcome != SinkOutcome::kAll) {
        return Progress::kWaits;
      }
      lines_ +=
          static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
    }
    moved_ += lines.size();
    moved += lines.size();
  }
  return Progress::kMoved;
}

std::string_view StrayFile::NextLines() const {
  const std::string_view pending = std::string_view(pending_).substr(moved_);
  const size_t first = pending.find('\n');
  if (first == std::string_view::npos) return {};
  if (skipping_ || first >= line_bytes_max_)
    return pending.substr(0, first + 1);
  const size_t last = pending.substr(0, line_bytes_max_).rfind('\n');
  return pending.substr(0, last + 1);
}

StrayFile::Filled StrayFile::Fill() {
  if (at_end_) return Filled::kEnd;
  pending_.erase(0, std::exchange(moved_, 0));
  // Of a line that is too long already only the end is of interest.
  if (pending_.size() > line_bytes_max_) {
    skipping_ = true;
    pending_.clear();
  }
  // Asked before the read: what is written by then is read.
  const bool being_written = IsBeingWritten();
  std::array<char, kReadBytes> buffer;
  const ssize_t bytes = read(fd_.get(), buffer.data(), buffer.size());
  if (bytes > 0) {
    pending_.append(buffer.data(), static_cast<size_t>(bytes));
    grown_at_ = MonotonicNow();
    return Filled::kBytes;
  }
  if (bytes == 0 && being_written) return Filled::kNothing;
  at_end_ = true;
  if (pending_.empty() && !skipping_) return Filled::kEnd;
  pending_ += '\n';  // its last line had none
  return Filled::kBytes;
}

// A lease for reading is given only while nobody has the file open for writing:
// fcntl(2). Should somebody open it while this holds the lease, he waits for
// that moment, and the signal that tells of it is one that is ignored.
bool StrayFile::IsBeingWritten() {
  (void)fcntl(fd_.get(), F_SETSIG, SIGURG);
  if (fcntl(fd_.get(), F_SETLEASE, F_RDLCK) == 0) {
    (void)fcntl(fd_.get(), F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN || MonotonicNow() - grown_at_ < kQuiet;
}

}  // namespace fifobus
