#include "broker/bus/durable_tap.h"

#include <algorithm>
#include <atomic>
#include <string_view>
#include <utility>

#include "broker/io/fifo.h"
#include "fmt/format.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

constexpr std::string_view kDurableSuffix = ".durable";

// How soon what was read is noted, and how late if a reader reads nothing. A
// pipe that was not full does not tell that it is read (pipe(7)). Not tuned.
constexpr absl::Duration kFirstLook = absl::Milliseconds(100);
constexpr absl::Duration kLastLook = absl::Seconds(10);

std::string ReaderName(const std::string& path) {
  const size_t begin = path.rfind('/') + 1;
  return path.substr(begin, path.size() - begin - kDurableSuffix.size());
}

absl::Status CheckName(const std::string& name) {
  const TopicFault fault = CheckTopicToPublish(name);
  if (fault == TopicFault::kNone) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("the name of a durable reader is one level of a topic, and "
                  "\"{}\" {}",
                  name, TopicFaultText(fault)));
}

absl::Status OtherReader(const DurableReader& reader,
                         const std::string& topic) {
  const std::string group =
      reader.group().empty() ? "" : fmt::format(" in group {}", reader.group());
  return absl::FailedPreconditionError(
      fmt::format("the durable reader {} reads {}{}: choose another name for "
                  "{}",
                  reader.name(), reader.pattern(), group, topic));
}

absl::StatusOr<std::shared_ptr<DurableReader>> OpenReader(
    ServedLog& log, const std::string& name, const std::string& topic) {
  ReaderTable::Opened opened =
      log.readers().Open(name, topic, /*group=*/"", log.log().first_offset());
  switch (opened.outcome) {
    case ReaderTable::OpenOutcome::kOpened:
      break;
    case ReaderTable::OpenOutcome::kOtherPattern:
    case ReaderTable::OpenOutcome::kOtherGroup:
      return OtherReader(*opened.reader, topic);
    case ReaderTable::OpenOutcome::kTooMany:
      return absl::ResourceExhaustedError(
          fmt::format("the log {} has as many durable readers as it may; "
                      "forget one with fifobus log",
                      log.name()));
  }
  if (opened.reader->in_use()) {
    return absl::UnavailableError(
        fmt::format("a session reads as the durable reader {} now", name));
  }
  return std::move(opened.reader);
}

}  // namespace

bool IsDurableTap(const std::string& path) {
  return path.ends_with(kDurableSuffix);
}

// What the reader's next user calls, on any thread.
struct DurableTap::Fencing {
  std::atomic<bool> fenced{false};
  std::function<void()> on_fenced;  // of the worker; null: the tap has ended
};

absl::StatusOr<std::unique_ptr<DurableTap>> DurableTap::Open(
    const std::string& topic, const std::string& path, BusParts& parts,
    Worker& worker, UniqueFd fd, std::function<void()> on_fenced) {
  auto tap = Make(topic, path, parts, worker, std::move(fd));
  if (!tap.ok()) return tap.status();
  const absl::Status status = (*tap)->Begin(std::move(on_fenced));
  if (!status.ok()) return status;
  return tap;
}

absl::StatusOr<std::unique_ptr<DurableTap>> DurableTap::Restore(
    const pb::state::DurableTap& state, const std::string& topic,
    const std::string& path, BusParts& parts, Worker& worker, UniqueFd fd,
    std::function<void()> on_fenced) {
  auto tap = Make(topic, path, parts, worker, std::move(fd));
  if (!tap.ok()) return tap.status();
  const absl::Status status = (*tap)->BeginAgain(state, std::move(on_fenced));
  if (!status.ok()) return status;
  return tap;
}

absl::StatusOr<std::unique_ptr<DurableTap>> DurableTap::Make(
    const std::string& topic, const std::string& path, BusParts& parts,
    Worker& worker, UniqueFd fd) {
  const std::string name = ReaderName(path);
  absl::Status status = CheckName(name);
  if (!status.ok()) return status;
  std::shared_ptr<ServedLog> log = parts.table.snapshot()->logs().LogOf(topic);
  if (!log) {
    return absl::FailedPreconditionError(
        fmt::format("no log stores the topic {}: the configuration names logs "
                    "under [[log]]",
                    topic));
  }
  auto reader = OpenReader(*log, name, topic);
  if (!reader.ok()) return reader.status();
  return std::unique_ptr<DurableTap>(new DurableTap(
      topic, parts, worker, std::move(fd), std::move(log), *std::move(reader)));
}

DurableTap::DurableTap(const std::string& topic, BusParts& parts,
                       Worker& worker, UniqueFd fd,
                       std::shared_ptr<ServedLog> log,
                       std::shared_ptr<DurableReader> reader)
    : topic_(topic),
      identity_(IdentityOf(fd.get())),
      owner_(FifoOwner(fd.get())),
      parts_(parts),
      worker_(worker),
      log_(std::move(log)),
      reader_(std::move(reader)),
      fencing_(std::make_shared<Fencing>()),
      pipe_(EgressPipe::Make(worker, std::move(fd), parts.options,
                             /*growth=*/nullptr)),
      target_(*pipe_, parts.counters) {}

absl::Status DurableTap::OpenPipe() {
  // Not an owner: the pipe is closed before this ends.
  const std::shared_ptr<SinkObserver> observer(std::shared_ptr<void>(), this);
  const absl::Status status = pipe_->Open(observer, [this] { OnNoReader(); });
  return status.ok() ? status : absl::UnavailableError(status.message());
}

void DurableTap::TakeReader(std::function<void()> on_fenced) {
  fencing_->on_fenced = std::move(on_fenced);
  use_ = reader_->Take({/*session=*/0, [fencing = fencing_, &worker = worker_] {
                          fencing->fenced.store(true);
                          worker.loop().Post([fencing] {
                            if (fencing->on_fenced)
                              std::exchange(fencing->on_fenced, nullptr)();
                          });
                        }});
}

void DurableTap::WatchLog() {
  const auto index = static_cast<size_t>(worker_.index());
  log_->watch(index).Add(*this);
  log_->blocks(index).AddReader();
}

absl::Status DurableTap::Begin(std::function<void()> on_fenced) {
  absl::Status status = OpenPipe();
  if (!status.ok()) return status;
  TakeReader(std::move(on_fenced));
  ReadFrom(reader_->position());
  // What an older broker has written is written again.
  (void)pipe_->TakeUnread();
  WatchLog();
  OnOpened();
  return status;
}

absl::Status DurableTap::BeginAgain(const pb::state::DurableTap& state,
                                    std::function<void()> on_fenced) {
  absl::Status status = OpenPipe();
  if (!status.ok()) return status;
  TakeReader(std::move(on_fenced));
  ReadFrom(reader_->position());
  cursor_->Restore(state.cursor());
  target_.Restore(state.lines());
  has_reader_ = state.has_reader();
  WatchLog();
  if (has_reader_) {
    // It has not left, and what it has read in part does not come again. The
    // loop tells of room, if there is any.
    log_->watch(static_cast<size_t>(worker_.index())).Wake();
    StartClock(kFirstLook);
  } else {
    OnOpened();
  }
  return status;
}

pb::state::DurableTap DurableTap::Export() const {
  pb::state::DurableTap state;
  *state.mutable_lines() = target_.Export();
  *state.mutable_cursor() = cursor_->Export();
  state.set_has_reader(has_reader_);
  return state;
}

DurableTap::~DurableTap() {
  fencing_->on_fenced = nullptr;
  StopClock();
  if (use_ != 0) {
    const auto index = static_cast<size_t>(worker_.index());
    log_->watch(index).Remove(*this);
    log_->blocks(index).RemoveReader();
    (void)NotePosition();
    reader_->Leave(use_);
  }
  pipe_->Close();
}

void DurableTap::ReadFrom(uint64_t offset) {
  cursor_.emplace(log_, static_cast<size_t>(worker_.index()), parts_.options,
                  target_,
                  LogRange{topic_, offset, UINT64_MAX, reader_->done_above()});
}

bool DurableTap::IsAllowed() const {
  return parts_.table.snapshot()->rules().MaySubscribe(owner_, topic_);
}

size_t DurableTap::unread_bytes() const {
  if (!has_reader_) return 0;
  return target_.rest_bytes() + pipe_->status().unread_bytes;
}

void DurableTap::OnOpened() {
  if (pipe_->LacksReader()) return;
  if (std::exchange(has_reader_, true)) {
    // The one before may have left in the middle of a line.
    const std::optional<LineTarget::Unread> unread = NotePosition();
    if (unread && unread->begun) {
      target_.Repeat(unread->offset);
      ReadFrom(unread->offset);
    }
  }
  Go();
}

void DurableTap::LookForReader() {
  if (!has_reader_) OnOpened();
}

void DurableTap::OnWritable() {
  target_.OnRoom();
  Go();
}

void DurableTap::Go() {
  if (!has_reader_ || fencing_->fenced.load()) return;
  if (!finishing_ && target_.rest_bytes() == 0) {
    // What it waits for comes by itself: the watch, or OnWritable.
    (void)cursor_->Go();
  }
  if (NotePosition()) StartClock(kFirstLook);
}

void DurableTap::OnNoReader() {
  if (!has_reader_) return;
  // Before another reader can take a part of it.
  const std::optional<LineTarget::Unread> unread = NotePosition();
  // The event may be older than a reader who came since.
  if (!pipe_->LacksReader()) return;
  // Taking out what is unread opens the FIFO, and so leads to this event too.
  has_reader_ = false;
  StopClock();
  (void)pipe_->TakeUnread();
  target_.Forget();
  if (unread) ReadFrom(unread->offset);
  OnOpened();
}

std::optional<LineTarget::Unread> DurableTap::NotePosition() {
  const std::optional<LineTarget::Unread> unread =
      target_.FindUnread(pipe_->status().unread_bytes);
  if (!fencing_->fenced.load()) {
    const uint64_t next = unread ? unread->offset : cursor_->position();
    reader_->SettleUpTo(next - 1);
  }
  return unread;
}

void DurableTap::StartClock(absl::Duration delay) {
  if (clock_) return;
  clock_ = worker_.loop().RunAfter(delay, [this, delay] {
    clock_.reset();
    OnClock(delay);
  });
}

void DurableTap::OnClock(absl::Duration delay) {
  const uint64_t before = reader_->position();
  if (!NotePosition()) return;
  const bool reads = reader_->position() > before;
  StartClock(reads ? kFirstLook : std::min(2 * delay, kLastLook));
}

void DurableTap::StopClock() {
  if (clock_) worker_.loop().Cancel(*std::exchange(clock_, std::nullopt));
}

}  // namespace fifobus
