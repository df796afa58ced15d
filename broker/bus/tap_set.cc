#include "broker/bus/tap_set.h"

#include <algorithm>
#include <utility>

#include "broker/base/log.h"
#include "broker/core/delivery/queue_stats.h"
#include "broker/io/fifo.h"
#include "proto/bus_paths.h"

namespace fifobus {
namespace {

// The first number of an ingress in an upgrade. Sessions have those below.
constexpr uint64_t kFirstTap = uint64_t{1} << 63;

absl::Status StatusOf(const FifoOpening& opening) {
  switch (opening.outcome) {
    case FifoOpenOutcome::kOpened:
    case FifoOpenOutcome::kGone:  // an event says so
      return absl::OkStatus();
    case FifoOpenOutcome::kNoDescriptors:
      return absl::UnavailableError(
          "no descriptors are left; raise the broker's ulimit -n");
    case FifoOpenOutcome::kNoReader:
    case FifoOpenOutcome::kRefused:
      break;
  }
  return absl::FailedPreconditionError(opening.refusal);
}

}  // namespace

TapSet::TapSet(BusParts& parts, Worker& worker,
               std::function<void()> before_routing,
               std::function<void(const std::string&)> on_fenced)
    : parts_(parts),
      worker_(worker),
      before_routing_(std::move(before_routing)),
      on_fenced_(std::move(on_fenced)) {}

bool TapSet::Has(const std::string& path) const {
  return ins_.contains(path) || outs_.contains(path) ||
         durables_.contains(path);
}

bool TapSet::IsAt(const std::string& path, const NameState& file) const {
  if (file.kind != FileKind::kFifo) return false;
  const auto in = ins_.find(path);
  if (in != ins_.end()) return in->second->identity() == file.identity;
  const auto out = outs_.find(path);
  if (out != outs_.end()) return out->second->identity() == file.identity;
  const auto durable = durables_.find(path);
  return durable != durables_.end() &&
         durable->second->identity() == file.identity;
}

std::vector<std::string> TapSet::Paths() const {
  std::vector<std::string> paths;
  for (const auto& [path, in] : ins_) paths.push_back(path);
  for (const auto& [path, out] : outs_) paths.push_back(path);
  for (const auto& [path, durable] : durables_) paths.push_back(path);
  return paths;
}

absl::Status TapSet::AddIn(const std::string& topic) {
  FifoOpening opening =
      OpenFifoForReading(parts_.bus->fd(), InPath(topic), parts_.bus->trust());
  if (opening.outcome != FifoOpenOutcome::kOpened) return StatusOf(opening);
  auto in = TapIn::Open(
      topic, parts_, worker_, std::move(opening.fd), before_routing_,
      [this] { worker_.loop().Post([this] { EndRetired(); }); });
  if (!in.ok()) return absl::UnavailableError(in.status().message());
  const std::string path = topic + std::string(kInSuffix);
  ins_[path] = *std::move(in);
  SetMode(path, topic);
  return absl::OkStatus();
}

absl::Status TapSet::AddOut(const std::string& topic, const std::string& path) {
  FifoOpening opening =
      OpenFifoToHold(parts_.bus->fd(), TopicsPath(path), parts_.bus->trust());
  if (opening.outcome != FifoOpenOutcome::kOpened) return StatusOf(opening);
  const uint32_t owner = FifoOwner(opening.fd.get());
  if (!parts_.table.snapshot()->rules().MaySubscribe(owner, topic)) {
    return absl::PermissionDeniedError(kTapDenied);
  }
  if (IsDurableTap(path)) {
    return AddDurable(topic, path, std::move(opening.fd));
  }
  const bool goes_on = starting_ && parts_.options.restarts > 0;
  auto out =
      TapOut::Open(topic, path, parts_, worker_, std::move(opening.fd),
                   goes_on ? TapOut::Stream::kGoesOn : TapOut::Stream::kNew);
  if (!out.ok()) return absl::UnavailableError(out.status().message());
  KeepOut(path, *std::move(out));
  SetMode(path, topic);
  const auto in = ins_.find(topic + std::string(kInSuffix));
  if (in != ins_.end()) in->second->Nudge();
  return absl::OkStatus();
}

absl::Status TapSet::AddDurable(const std::string& topic,
                                const std::string& path, UniqueFd fd) {
  auto durable = DurableTap::Open(topic, path, parts_, worker_, std::move(fd),
                                  [this, path] {
                                    End(path);
                                    on_fenced_(path);
                                  });
  if (!durable.ok()) return durable.status();
  durables_[path] = *std::move(durable);
  SetMode(path, topic);
  return absl::OkStatus();
}

void TapSet::AddIngresses(StateIngresses& ingresses) const {
  uint64_t number = kFirstTap;
  for (const auto& [path, in] : ins_) ingresses.Add(number++, in->pipe());
  for (const auto& in : retired_ins_) ingresses.Add(number++, in->pipe());
}

void TapSet::Export(StateChunks& chunks, const StateIngresses& ingresses,
                    StateWriter& state) const {
  const auto export_in = [&](const TapIn& in, bool name_is_gone) {
    if (in.finished()) return;
    pb::state::Record record;
    in.Export(chunks, *record.mutable_tap_in());
    record.mutable_tap_in()->set_number(ingresses.NumberOf(*in.pipe()));
    record.mutable_tap_in()->set_name_is_gone(name_is_gone);
    state.Add(record);
  };
  for (const auto& [path, in] : ins_) export_in(*in, /*name_is_gone=*/false);
  for (const auto& in : retired_ins_) export_in(*in, /*name_is_gone=*/true);
  for (const auto& [path, out] : outs_) {
    pb::state::Record record;
    out->Export(chunks, ingresses, *record.mutable_tap_out());
    record.mutable_tap_out()->set_path(path);
    state.Add(record);
  }
  for (const auto& [path, durable] : durables_) {
    pb::state::Record record;
    pb::state::TapDurable& tap = *record.mutable_tap_durable();
    tap.set_topic(durable->topic());
    tap.set_path(path);
    *tap.mutable_pipe() = durable->ExportPipe();
    *tap.mutable_reader() = durable->Export();
    state.Add(record);
  }
}

absl::Status TapSet::Restore(const pb::state::Record& tap,
                             const StateChunks& chunks,
                             StateIngresses& ingresses) {
  if (tap.has_tap_in()) return RestoreIn(tap.tap_in(), chunks, ingresses);
  if (tap.has_tap_out()) return RestoreOut(tap.tap_out(), chunks, ingresses);
  return RestoreDurable(tap.tap_durable());
}

absl::Status TapSet::RestoreIn(const pb::state::TapIn& state,
                               const StateChunks& chunks,
                               StateIngresses& ingresses) {
  auto in =
      TapIn::Restore(state, chunks, parts_, worker_, before_routing_,
                     [this] { worker_.loop().Post([this] { EndRetired(); }); });
  if (!in.ok()) return in.status();
  ingresses.Add(state.number(), (*in)->pipe());
  if (state.name_is_gone()) {
    RetireIn(*std::move(in));
  } else {
    ins_[state.topic() + std::string(kInSuffix)] = *std::move(in);
  }
  return absl::OkStatus();
}

absl::Status TapSet::RestoreOut(const pb::state::TapOut& state,
                                const StateChunks& chunks,
                                StateIngresses& ingresses) {
  auto out = TapOut::Restore(state, chunks, ingresses, parts_, worker_);
  if (!out.ok()) return out.status();
  KeepOut(state.path(), *std::move(out));
  return absl::OkStatus();
}

absl::Status TapSet::RestoreDurable(const pb::state::TapDurable& state) {
  const std::string& path = state.path();
  auto durable =
      DurableTap::Restore(state.reader(), state.topic(), path, parts_, worker_,
                          UniqueFd(state.pipe().pipe_fd()), [this, path] {
                            End(path);
                            on_fenced_(path);
                          });
  if (durable.ok()) {
    durables_[path] = *std::move(durable);
  } else {
    // Its log is not configured any more, or its reader was forgotten.
    LogWarning(
        "durable tap not taken over",
        {{"path", TopicsPath(path)}, {"reason", durable.status().message()}});
  }
  return absl::OkStatus();
}

void TapSet::KeepOut(const std::string& path, std::unique_ptr<TapOut> out) {
  {
    MutexLock lock(mutex_);
    shown_outs_[path] = {out->egress(), out->owner()};
  }
  outs_[path] = std::move(out);
}

void TapSet::SetMode(const std::string& path, const std::string& topic) {
  const auto mode = parts_.table.snapshot()->rules().TapModeOf(topic);
  if (!mode) return;
  const absl::Status status =
      SetFifoMode(parts_.bus->fd(), TopicsPath(path), *mode);
  if (!status.ok()) {
    LogWarning("the mode of a tap was not set",
               {{"path", TopicsPath(path)}, {"error", status.message()}});
  }
}

void TapSet::End(const std::string& path) {
  auto in = ins_.extract(path);
  if (!in.empty()) RetireIn(std::move(in.mapped()));
  {
    MutexLock lock(mutex_);
    shown_outs_.erase(path);
  }
  outs_.erase(path);
  durables_.erase(path);
}

size_t TapSet::EndBelow(const std::string& prefix) {
  size_t ended = 0;
  for (const std::string& path : Paths()) {
    if (!path.starts_with(prefix)) continue;
    End(path);
    ++ended;
  }
  return ended;
}

std::vector<std::string> TapSet::EndDenied() {
  std::vector<std::string> denied;
  for (const auto& [path, out] : outs_) {
    if (!out->IsAllowed()) denied.push_back(path);
  }
  for (const auto& [path, durable] : durables_) {
    if (!durable->IsAllowed()) denied.push_back(path);
  }
  for (const std::string& path : denied) End(path);
  for (const auto& [path, in] : ins_) SetMode(path, in->topic());
  for (const auto& [path, out] : outs_) SetMode(path, out->topic());
  for (const auto& [path, durable] : durables_) SetMode(path, durable->topic());
  return denied;
}

void TapSet::RetireIn(std::unique_ptr<TapIn> in) {
  retired_ins_.push_back(std::move(in));
  worker_.loop().Post([this] { EndRetired(); });
}

void TapSet::EndRetired() {
  for (const std::unique_ptr<TapIn>& retired : retired_ins_) {
    const bool renamed =
        std::any_of(ins_.begin(), ins_.end(), [&](const auto& in) {
          return in.second->identity() == retired->identity();
        });
    if (renamed) {
      retired->Close();
    } else {
      retired->Finish();
    }
  }
  std::erase_if(retired_ins_, [](const auto& in) { return in->finished(); });
}

void TapSet::OnOpened(const std::string& path) {
  const auto out = outs_.find(path);
  if (out != outs_.end()) out->second->OnOpened();
  const auto durable = durables_.find(path);
  if (durable != durables_.end()) durable->second->LookForReader();
}

void TapSet::OnOpenEvent(const std::string& path) {
  const auto durable = durables_.find(path);
  if (durable != durables_.end()) return durable->second->OnOpened();
  OnOpened(path);
}

void TapSet::NudgeIns() {
  for (const auto& [path, in] : ins_) in->Nudge();
}

void TapSet::Finish() {
  for (const auto& [path, in] : ins_) in->FinishOrLeave();
  for (const auto& [path, durable] : durables_) durable->Finish();
  EndRetired();
}

bool TapSet::finished() const {
  return retired_ins_.empty() &&
         std::all_of(ins_.begin(), ins_.end(),
                     [](const auto& in) { return in.second->finished(); });
}

size_t TapSet::queued_bytes() const {
  size_t bytes = 0;
  for (const auto& [path, out] : outs_) {
    const EgressState state = out->egress()->state();
    // A tap without a reader is not waited for.
    if (!state.reader_gone) bytes += state.queued_bytes;
  }
  // Or what is in its pipe would come again.
  for (const auto& [path, durable] : durables_) {
    bytes += durable->unread_bytes();
  }
  return bytes;
}

size_t TapSet::unread_bytes() const {
  size_t bytes = 0;
  for (const auto& [path, in] : ins_) {
    if (!in->is_left()) bytes += in->unread_bytes();
  }
  for (const auto& in : retired_ins_) bytes += in->unread_bytes();
  return bytes;
}

TapSet::Leftover TapSet::Close() {
  Leftover leftover;
  for (const auto& [path, in] : ins_) CloseIn(path, *in, leftover);
  for (const auto& [path, out] : outs_) CloseOut(path, *out, leftover);
  ins_.clear();
  retired_ins_.clear();
  outs_.clear();
  durables_.clear();
  MutexLock lock(mutex_);
  shown_outs_.clear();
  return leftover;
}

void TapSet::CloseIn(const std::string& path, TapIn& in, Leftover& leftover) {
  if (in.is_left()) {
    LogInfo("lines wait in a tap for the next broker",
            {{"path", TopicsPath(path)}, {"bytes", in.unread_bytes()}});
    return;
  }
  if (in.unclaimed_lines() == 0) return;
  leftover.lines += in.unclaimed_lines();
  LogWarning("lines were dropped: nobody had subscribed to them",
             {{"path", TopicsPath(path)}, {"lines", in.unclaimed_lines()}});
}

void TapSet::CloseOut(const std::string& path, TapOut& out,
                      Leftover& leftover) {
  const uint64_t messages = out.TakeUnread();
  if (messages == 0) return;
  leftover.messages += messages;
  LogWarning("messages were dropped: nobody read them from their tap",
             {{"path", TopicsPath(path)}, {"messages", messages}});
}

void TapSet::AppendStats(pb::StatsReply& reply) const {
  std::map<std::string, ShownOut> outs;
  {
    MutexLock lock(mutex_);
    outs = shown_outs_;
  }
  for (const auto& [path, out] : outs) {
    const EgressState state = out.egress->state();
    pb::StatsReply::Tap& tap = *reply.add_taps();
    tap.set_name(path);
    *tap.mutable_queue() = QueueStats(state);
    tap.set_uid(out.owner);
    tap.set_reader_gone(state.reader_gone);
  }
}

}  // namespace fifobus
