// How a broker hands everything over to the program that its process becomes,
// and how that program goes on with it: DESIGN.md, "Upgrades".
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/broker.h"
#include "broker/bus/counters_transfer.h"
#include "broker/core/groups/log_group_source.h"
#include "broker/upgrade/state_dialect.h"
#include "proto/version.h"

namespace fifobus {
namespace {

// How long the program waits for whatever reads the log, before it is replaced.
// Not tuned.
constexpr absl::Duration kLogPatience = absl::Milliseconds(5);

pb::state::Record HeaderRecord(size_t workers) {
  pb::state::Record record;
  pb::state::Header& header = *record.mutable_header();
  const StateDialect dialect = DialectOfThisProgram();
  header.set_format(dialect.format);
  header.set_needs(dialect.needs);
  (void)header.MergeFromString(dialect.later_header);
  header.set_version(std::string(kVersion));
  header.set_pid(getpid());
  header.set_collected_unix_nanos(absl::GetCurrentTimeNanos());
  header.set_workers(static_cast<uint32_t>(workers));
  return record;
}

// Asks whether the program runs, takes this command line, and reads this format.
absl::Status CheckWithoutState(const Successor& successor, size_t workers,
                               absl::Duration patience) {
  StateWriter trial;
  pb::state::Record header = HeaderRecord(workers);
  header.mutable_header()->set_trial(true);
  trial.Add(header);
  const auto file = trial.Finish();
  if (!file.ok()) return file.status();
  return CheckState(successor, *file, patience);
}

}  // namespace

// While it is made, no worker runs but for the tasks that it gives them.
struct Broker::Restoring {
  Restoring(const std::vector<std::unique_ptr<Worker>>& workers,
            pb::state::Broker before)
      : parked(workers), broker(std::move(before)) {}

  ParkedWorkers parked;
  StateChunks chunks;
  StateIngresses ingresses;
  pb::state::Broker broker;
};

absl::Status Broker::Upgrade(const Successor& successor,
                             const std::string& request) {
  absl::Status status = CheckWithoutState(
      successor, parts_.workers.size(), parts_.options.upgrade_check_patience);
  if (!status.ok()) return status;
  Hold();
  status = HandOver(successor, request);
  GoOn();
  return status;
}

void Broker::Hold() {
  paused_at_ = MonotonicNow();
  RunOn(*parts_.workers.front(), [this] {
    door_->Hold();
    taps_->Hold();
  });
  for (const auto& worker : parts_.workers) {
    RunOn(*worker, [&] { worker->HoldIngresses(); });
  }
}

void Broker::GoOn() {
  logs_->ReleaseReaders();
  for (const auto& worker : parts_.workers) {
    RunOn(*worker, [&] { worker->ReleaseIngresses(); });
  }
  RunOn(*parts_.workers.front(), [this] {
    taps_->GoOn();
    door_->GoOn();
  });
}

// What one task posts, such as a dead letter or a session that was let in, the
// next round runs. Nothing new comes in, so there is an end.
absl::StatusOr<std::unique_ptr<ParkedWorkers>> Broker::ComeToRest() {
  const absl::Duration deadline =
      MonotonicNow() + parts_.options.upgrade_rest_patience;
  while (true) {
    const absl::Status written =
        logs_->Hold(parts_.options.upgrade_rest_patience);
    if (!written.ok()) return written;
    auto parked = std::make_unique<ParkedWorkers>(parts_.workers);
    if (parked->AtRest() && logs_->IsWritten()) return parked;
    if (MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError(
          "the broker did not come to rest; try again");
    }
  }
}

absl::Status Broker::HandOver(const Successor& successor,
                              const std::string& request) {
  auto parked = ComeToRest();
  if (!parked.ok()) return parked.status();
  retained_files_->Hold();
  const auto state = Collect(**parked, request).Finish();
  absl::Status status = state.status();
  if (status.ok()) {
    status =
        CheckState(successor, *state, parts_.options.upgrade_check_patience);
  }
  if (status.ok()) {
    FlushLog(kLogPatience);
    status = Become(successor, *state);
  }
  retained_files_->Release();
  return status;
}

StateWriter Broker::Collect(ParkedWorkers& parked, const std::string& request) {
  StateChunks chunks;
  StateIngresses ingresses;
  const std::vector<std::shared_ptr<SessionLink>> links = Links();
  for (const auto& link : links) {
    if (!link->ended()) link->AddIngress(ingresses);
  }
  taps_->AddIngresses(ingresses);
  pb::state::Record broker;
  StateWriter rest;
  CollectShared(chunks, ingresses, rest);
  parked.RunOnEach([&](Worker& worker) {
    for (const auto& link : links) {
      if (&link->worker() != &worker || link->ended()) continue;
      pb::state::Record record;
      *record.mutable_session() = link->Export(chunks, ingresses);
      rest.Add(record);
    }
  });
  parked.RunOn(*parts_.workers.front(), [&] {
    taps_->Export(chunks, ingresses, *broker.mutable_broker(), rest);
    ExportBroker(request, *broker.mutable_broker());
  });
  StateWriter state;
  pb::state::Record header = HeaderRecord(parts_.workers.size());
  header.mutable_header()->set_paused_monotonic_nanos(
      absl::ToInt64Nanoseconds(paused_at_));
  state.Add(header);
  state.Add(broker);
  for (const StateChunks::Exported& chunk : chunks.exported()) {
    pb::state::Chunk record;
    record.set_number(chunk.number);
    record.set_begin(chunk.begin);
    state.AddChunk(record, chunk.bytes);
  }
  state.Append(rest);
  pb::state::Record later;
  if (later.ParseFromString(DialectOfThisProgram().later_record) &&
      later.ByteSizeLong() > 0) {
    state.Add(later);
  }
  return state;
}

void Broker::ExportBroker(const std::string& request,
                          pb::state::Broker& state) const {
  const BusDirectory::Held held = parts_.bus->held();
  state.set_lock_fd(held.lock_fd);
  state.set_alive_fd(held.alive_fd);
  state.set_sessions_made(sessions_made_);
  state.set_upgrades(parts_.upgrades);
  state.set_request(request);
  if (const auto next = sys_stats_->next()) {
    state.set_next_stats_monotonic_nanos(absl::ToInt64Nanoseconds(*next));
  }
}

void Broker::CollectShared(StateChunks& chunks, const StateIngresses& ingresses,
                           StateWriter& state) {
  pb::state::Record record;
  *record.mutable_counters() = ExportCounters(parts_.counters);
  state.Add(record);
  *record.mutable_topic_stats() = parts_.topic_stats.Export();
  state.Add(record);
  *record.mutable_egress_ids() = parts_.egress_ids.Export();
  state.Add(record);
  retained_files_->Export(chunks, [&](pb::state::RetainedTopic topic) {
    *record.mutable_retained_topic() = std::move(topic);
    state.Add(record);
  });
  for (pb::state::ServedLog& log : logs_->Export()) {
    *record.mutable_served_log() = std::move(log);
    state.Add(record);
  }
  *record.mutable_group_table() = parts_.groups->Export();
  state.Add(record);
  parts_.groups->ExportGroups(chunks, ingresses,
                              [&](pb::state::GroupEntry group) {
                                *record.mutable_group() = std::move(group);
                                state.Add(record);
                              });
}

std::unique_ptr<Broker> Broker::Restore(const BrokerOptions& options,
                                        StateReader state, GiveUp give_up) {
  auto broker = std::unique_ptr<Broker>(new Broker(options));
  pb::state::Broker before;
  absl::Status status = broker->BeginRestoring(state, before);
  if (!status.ok()) give_up(status);
  {
    Restoring restoring(broker->parts_.workers, std::move(before));
    status = broker->RestoreAll(state, restoring);
    if (status.ok()) status = broker->FinishRestoring(restoring);
    if (!status.ok()) give_up(status);
  }
  broker->pause_ = MonotonicNow() -
                   absl::Nanoseconds(state.header().paused_monotonic_nanos());
  // They may have changed with the configuration.
  (void)broker->SetTopicRules(options.topics);
  return broker;
}

absl::Status Broker::BeginRestoring(StateReader& state,
                                    pb::state::Broker& before) {
  absl::Status status = CheckRules(parts_.options);
  if (!status.ok()) return status;
  parts_.table.SetRules(
      TopicRules(parts_.options.history, parts_.options.topics));
  auto first = state.Next();
  if (!first.ok()) return first.status();
  if (!*first || !(*first)->has_broker()) {
    return absl::DataLossError("the state names no broker");
  }
  before = std::move(*(*first)->mutable_broker());
  auto bus = BusDirectory::TakeOver(parts_.options.dir,
                                    {before.lock_fd(), before.alive_fd()});
  if (!bus.ok()) return bus.status();
  parts_.bus = *std::move(bus);
  parts_.upgrades = before.upgrades() + 1;
  sessions_made_ = before.sessions_made();
  request_ = before.request();
  auto files =
      RetainedFiles::Open(*parts_.bus, parts_.retained, parts_.options,
                          parts_.counters, RetainedFiles::Begin::kWithState);
  if (!files.ok()) return files.status();
  retained_files_ = *std::move(files);
  status = StartWorkers();
  if (status.ok()) MakeDoors();
  return status;
}

absl::Status Broker::RestoreAll(StateReader& state, Restoring& restoring) {
  restoring.parked.RunOn(*parts_.workers.front(),
                         [&] { taps_->Restore(restoring.broker); });
  while (true) {
    const auto record = state.Next();
    if (!record.ok()) return record.status();
    if (!*record) return absl::OkStatus();
    if ((*record)->has_chunk()) {
      const pb::state::Chunk& chunk = (*record)->chunk();
      restoring.chunks.Add(chunk.number(), chunk.begin(),
                           Chunk::CopyOf(state.chunk_bytes()));
      continue;
    }
    const absl::Status status = RestoreRecord(**record, restoring);
    if (!status.ok()) return status;
  }
}

absl::Status Broker::RestoreRecord(const pb::state::Record& record,
                                   Restoring& restoring) {
  switch (record.kind_case()) {
    case pb::state::Record::kSession:
      return RestoreSession(record.session(), restoring);
    case pb::state::Record::kTapIn:
    case pb::state::Record::kTapOut:
    case pb::state::Record::kTapDurable:
    case pb::state::Record::kStrayFile: {
      absl::Status status;
      restoring.parked.RunOn(*parts_.workers.front(), [&] {
        status = taps_->Restore(record, restoring.chunks, restoring.ingresses);
      });
      return status;
    }
    default:
      RestoreShared(record, restoring);
      return absl::OkStatus();
  }
}

void Broker::RestoreShared(const pb::state::Record& record,
                           Restoring& restoring) {
  switch (record.kind_case()) {
    case pb::state::Record::kCounters:
      return RestoreCounters(record.counters(), parts_.counters);
    case pb::state::Record::kTopicStats:
      return parts_.topic_stats.Restore(record.topic_stats());
    case pb::state::Record::kEgressIds:
      return parts_.egress_ids.Restore(record.egress_ids());
    case pb::state::Record::kRetainedTopic:
      return retained_files_->Restore(record.retained_topic(),
                                      restoring.chunks);
    case pb::state::Record::kServedLog:
      return logs_->Restore(record.served_log());
    case pb::state::Record::kGroupTable:
      return parts_.groups->Restore(record.group_table());
    case pb::state::Record::kGroup: {
      const pb::state::Group& group = record.group().group();
      std::shared_ptr<GroupSource> source;
      if (group.has_source()) {
        source = LogGroupSource::Restore(parts_.options, *parts_.group_host,
                                         logs_->table(), group.key(),
                                         group.source());
        if (!source) return;  // its log or its reader is gone
      }
      return parts_.groups->RestoreGroup(record.group(), std::move(source),
                                         restoring.chunks, restoring.ingresses);
    }
    default:
      return;  // of a later program, which says if that must not be
  }
}

absl::Status Broker::RestoreSession(const pb::state::SessionLink& session,
                                    Restoring& restoring) {
  Worker& worker = *parts_.workers[session.number() % parts_.workers.size()];
  absl::Status status;
  restoring.parked.RunOn(worker, [&] {
    auto link = SessionLink::Restore(
        session, parts_, worker, restoring.chunks, restoring.ingresses,
        [this](uint64_t ended) { ForgetLink(ended); });
    status = link.status();
    if (status.ok()) KeepLink(*std::move(link));
  });
  return status;
}

absl::Status Broker::FinishRestoring(Restoring& restoring) {
  absl::Status status;
  restoring.parked.RunOn(*parts_.workers.front(), [&] {
    restoring.ingresses.Settle();
    parts_.groups->Resume();
    if (restoring.broker.has_next_stats_monotonic_nanos()) {
      sys_stats_->Restore(
          absl::Nanoseconds(restoring.broker.next_stats_monotonic_nanos()));
    }
    status = taps_->Open();
    if (status.ok()) status = door_->Open();
  });
  return status;
}

}  // namespace fifobus
