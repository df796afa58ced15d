#include "broker/bus/retained_files.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/signals_blocked.h"
#include "broker/bus/last_file.h"
#include "broker/io/directory_watch.h"
#include "broker/seam/state_chunks.h"
#include "broker/state/retained_state.pb.h"
#include "fmt/format.h"
#include "proto/bus_paths.h"
#include "proto/expiry.h"
#include "proto/frame.h"
#include "proto/topic.h"

namespace fifobus {
namespace {

// The longest wait for a value to expire, by a clock that does not know of
// changes of the wall clock: so much later a change is noticed.
constexpr absl::Duration kExpiryWaitMax = absl::Seconds(10);

}  // namespace

absl::StatusOr<std::unique_ptr<RetainedFiles>> RetainedFiles::Open(
    const BusDirectory& bus, RetainedStore& store, const BrokerOptions& options,
    Counters& counters, Begin begin) {
  auto loop = EventLoop::Create(AdaptiveSpin());
  if (!loop.ok()) return loop.status();
  auto files = std::unique_ptr<RetainedFiles>(
      new RetainedFiles(bus, store, options, counters, *std::move(loop)));
  if (begin == Begin::kWithFiles) files->RestoreFolder("");
  if (store.topics() > 0) {
    LogInfo("retained values restored",
            {{"bus", bus.path()}, {"topics", store.topics()}});
  }
  const AllSignalsBlocked blocked;
  files->thread_ = std::thread([raw = files->loop_.get()] { raw->Run(); });
  pthread_setname_np(files->thread_.native_handle(), "fifobus-files");
  store.SetObserver(files.get());
  files->loop_->Post([raw = files.get()] { raw->ForgetExpired(); });
  return files;
}

RetainedFiles::RetainedFiles(const BusDirectory& bus, RetainedStore& store,
                             const BrokerOptions& options, Counters& counters,
                             std::unique_ptr<EventLoop> loop)
    : bus_(bus),
      store_(store),
      options_(options),
      counters_(counters),
      loop_(std::move(loop)) {}

RetainedFiles::~RetainedFiles() {
  store_.SetObserver(nullptr);
  if (!thread_.joinable()) return;
  loop_->Post([this] { Finish(); });
  loop_->Stop();
  thread_.join();
}

void RetainedFiles::RestoreFolder(const std::string& folder) {
  const auto names =
      ListDirectory(fmt::format("{}/{}", bus_.path(), TopicsPath(folder)));
  if (!names.ok()) {
    Refuse(folder, std::string(names.status().message()));
    return;
  }
  for (const std::string& name : *names) {
    const std::string path = folder + name;
    const std::string from_bus = TopicsPath(path);
    struct stat status;
    if (fstatat(bus_.fd(), from_bus.c_str(), &status, AT_SYMLINK_NOFOLLOW) !=
        0) {
      continue;  // gone again
    }
    if (name.ends_with(kLastSuffix)) {
      if (name.starts_with('.')) {
        (void)bus_.Unlink(
            from_bus);  // half written by a broker that was killed
      } else {
        Restore(WithoutSuffix(path, kLastSuffix));
      }
    } else if (S_ISDIR(status.st_mode) && !name.ends_with(kOutSuffix)) {
      RestoreFolder(path + "/");
    }
  }
}

void RetainedFiles::Restore(const std::string& topic) {
  const TopicFault fault = CheckTopicToPublish(topic);
  if (fault != TopicFault::kNone) {
    Refuse(topic + std::string(kLastSuffix), TopicFaultText(fault));
    return;
  }
  const auto frame = ReadLastFile(bus_.fd(), topic, options_.frame_bytes_max);
  if (!frame.ok()) {
    Refuse(topic + std::string(kLastSuffix),
           std::string(frame.status().message()));
    return;
  }
  const std::string_view bytes = *frame;
  const MessageView message = ReadMessageFrame(bytes);
  if (IsExpired(message.expiry_unix_nanos)) {
    (void)bus_.Unlink(LastPath(topic));
    return;
  }
  RetainedStore::Transaction retained(store_);
  // What is refused for want of room was counted; the file stays.
  (void)retained.Keep(bytes, message, /*history=*/1);
}

void RetainedFiles::Refuse(const std::string& path, std::string_view reason) {
  counters_.names_refused.Add();
  LogWarning("retained value refused",
             {{"path", TopicsPath(path)}, {"reason", reason}});
}

void RetainedFiles::OnRetained(const std::string& topic,
                               const RetainedValue& newest) {
  Note(topic, newest);
}

void RetainedFiles::OnForgotten(const std::string& topic) { Note(topic, {}); }

void RetainedFiles::Hold() {
  FIFOBUS_CHECK(!release_);
  release_.emplace();
  std::promise<void> held;
  loop_->Post([&held, released = release_->get_future().share()] {
    held.set_value();
    released.wait();
  });
  held.get_future().wait();
}

void RetainedFiles::Release() {
  release_->set_value();
  release_.reset();
}

void RetainedFiles::Export(StateChunks& chunks, ExportVisitor visit) {
  FIFOBUS_CHECK(release_.has_value());
  RetainedStore::Transaction retained(store_);
  std::set<std::string> unwritten;
  for (const auto& [topic, value] : failed_) unwritten.insert(topic);
  {
    MutexLock lock(mutex_);
    for (const auto& [topic, value] : changes_) unwritten.insert(topic);
  }
  retained.Export(chunks, [&](pb::state::RetainedTopic state) {
    state.set_unwritten(unwritten.erase(state.topic()) > 0);
    visit(std::move(state));
  });
  for (const std::string& topic : unwritten) {
    pb::state::RetainedTopic state;
    state.set_topic(topic);
    state.set_unwritten(true);
    visit(std::move(state));
  }
}

void RetainedFiles::Restore(const pb::state::RetainedTopic& state,
                            const StateChunks& chunks) {
  RetainedStore::Transaction retained(store_);
  retained.Restore(state, chunks);
  for (const pb::state::RetainedTopic::Value& value : state.values()) {
    if (value.expiry_unix_nanos() != 0) NoteExpiry(value.expiry_unix_nanos());
  }
  if (!state.unwritten()) return;
  RetainedValue newest;
  if (!state.values().empty()) {
    const pb::state::RetainedTopic::Value& last =
        state.values(state.values_size() - 1);
    newest = {chunks.Restore(last.bytes()).chunk, last.expiry_unix_nanos()};
  }
  Note(state.topic(), std::move(newest));
}

void RetainedFiles::Note(const std::string& topic, RetainedValue value) {
  const uint64_t expiry = value.expiry_unix_nanos;
  bool first = false;
  {
    MutexLock lock(mutex_);
    first = changes_.empty();
    changes_[topic] = std::move(value);
  }
  if (first) loop_->Post([this] { Schedule(); });
  if (expiry != 0) NoteExpiry(expiry);
}

void RetainedFiles::NoteExpiry(uint64_t expiry_unix_nanos) {
  {
    MutexLock lock(mutex_);
    if (expiry_unix_nanos >= next_expiry_) return;
    next_expiry_ = expiry_unix_nanos;
  }
  loop_->Post([this] { ScheduleExpiry(); });
}

void RetainedFiles::ScheduleExpiry() {
  if (expiry_timer_) loop_->Cancel(*std::exchange(expiry_timer_, {}));
  uint64_t expiry = 0;
  {
    MutexLock lock(mutex_);
    expiry = next_expiry_;
  }
  const absl::Duration rest =
      absl::FromUnixNanos(static_cast<int64_t>(expiry)) - absl::Now();
  // Not at once: others may expire with it. Not too late either, since the wall
  // clock may be set meanwhile.
  const absl::Duration delay =
      std::clamp(rest, options_.retained_write_interval,
                 std::max(options_.retained_write_interval, kExpiryWaitMax));
  expiry_timer_ = loop_->RunAfter(delay, [this] {
    expiry_timer_.reset();
    ForgetExpired();
  });
}

void RetainedFiles::ForgetExpired() {
  {
    MutexLock lock(mutex_);
    next_expiry_ = UINT64_MAX;
  }
  uint64_t next = 0;
  {
    RetainedStore::Transaction retained(store_);
    next = retained.ForgetExpired();
  }
  if (next == 0) return;
  {
    MutexLock lock(mutex_);
    next_expiry_ = std::min(next_expiry_, next);
  }
  if (IsExpired(next)) {
    loop_->Post([this] { ForgetExpired(); });  // there are more
  } else {
    ScheduleExpiry();
  }
}

void RetainedFiles::Schedule() {
  const absl::Duration rest =
      last_written_ + options_.retained_write_interval - MonotonicNow();
  if (rest <= absl::ZeroDuration()) {
    WriteChanges();
  } else {
    loop_->RunAfter(rest, [this] { WriteChanges(); });
  }
}

void RetainedFiles::WriteChanges() {
  std::map<std::string, RetainedValue> changes;
  {
    MutexLock lock(mutex_);
    changes.swap(changes_);
  }
  for (auto& [topic, value] : changes) {
    const absl::Status status = Write(topic, value);
    if (status.ok()) {
      Forget(topic);
      continue;
    }
    CountError(topic, status);
    failed_[topic] = std::move(value);
  }
  last_written_ = MonotonicNow();
  if (!failed_.empty()) RetryLater();
}

absl::Status RetainedFiles::Write(const std::string& topic,
                                  const RetainedValue& value) {
  if (!value.chunk) return RemoveLastFile(bus_.fd(), topic);
  const absl::Status status = WriteLastFile(bus_.fd(), value.frame());
  if (status.ok()) return status;
  // The older value must not pass for the newest; and there may be room now.
  const absl::Status removed = RemoveLastFile(bus_.fd(), topic);
  if (removed.ok()) return WriteLastFile(bus_.fd(), value.frame());
  return absl::Status(
      status.code(),
      fmt::format("{}; the older value stays, and the next broker will take it "
                  "for the newest: {}",
                  std::string(status.message()),
                  std::string(removed.message())));
}

void RetainedFiles::RetryLater() {
  if (retrying_) return;
  retrying_ = true;
  loop_->RunAfter(retry_delay_, [this] {
    retrying_ = false;
    Retry();
    if (!failed_.empty()) RetryLater();
  });
  retry_delay_ = std::min(2 * retry_delay_, kRetryDelayMax);
}

void RetainedFiles::Retry() {
  std::vector<std::string> topics;
  for (const auto& [topic, value] : failed_) topics.push_back(topic);
  for (const std::string& topic : topics) {
    if (Write(topic, failed_.at(topic)).ok()) Forget(topic);
  }
}

void RetainedFiles::Forget(const std::string& topic) {
  if (failed_.erase(topic) == 0 || !failed_.empty()) return;
  retry_delay_ = kRetryDelayMin;
  LogInfo("all retained values are written again", {{"last_topic", topic}});
}

void RetainedFiles::Finish() {
  WriteChanges();
  Retry();
  if (failed_.empty()) return;
  LogError("retained values were not written; the next broker lacks them",
           {{"topics", failed_.size()}, {"one", failed_.begin()->first}});
}

void RetainedFiles::CountError(const std::string& topic,
                               const absl::Status& status) {
  counters_.retained_write_errors.Add();
  if (const auto errors = errors_.Count()) {
    LogError(
        "retained value not written; it is tried again while it is newest",
        {{"topic", topic}, {"error", status.message()}, {"errors", *errors}});
  }
}

}  // namespace fifobus
