#include "broker/broker.h"

#include <algorithm>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/bus/worker_group_host.h"
#include "broker/core/sessions/log_stats.h"
#include "broker/io/fifo.h"

namespace fifobus {
namespace {

// How often a stopping broker looks whether all is delivered.
constexpr absl::Duration kStopPoll = absl::Milliseconds(5);

int WorkerCount(const BrokerOptions& options) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return options.workers > 0 ? options.workers : std::max(1, cores);
}

absl::Status CheckTopicRules(const std::vector<TopicRule>& rules) {
  for (const TopicRule& rule : rules) {
    absl::Status status = CheckTopicRule(rule);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void SetSum(const TopicSum& sum, pb::StatsReply::Topic& topic) {
  topic.set_messages(sum.messages);
  topic.set_bytes(sum.bytes);
  topic.set_no_subscriber(sum.no_subscriber);
  topic.set_lines_refused(sum.lines_refused);
  for (const uint64_t number : sum.publishers) topic.add_publishers(number);
}

void AddTopic(const std::string& name, const TopicSum& sum,
              const SubscriptionSnapshot& snapshot, pb::StatsReply& reply) {
  pb::StatsReply::Topic& topic = *reply.add_topics();
  topic.set_name(name);
  SetSum(sum, topic);
  topic.set_subscribers(static_cast<uint32_t>(snapshot.Match(name).size()));
}

}  // namespace

absl::Status Broker::CheckRules(const BrokerOptions& options) {
  for (const HistoryRule& rule : options.history) {
    absl::Status status = CheckHistoryRule(rule);
    if (!status.ok()) return status;
  }
  return CheckTopicRules(options.topics);
}

absl::StatusOr<std::unique_ptr<Broker>> Broker::Start(
    const BrokerOptions& options) {
  absl::Status status = CheckRules(options);
  if (!status.ok()) return status;
  auto broker = std::unique_ptr<Broker>(new Broker(options));
  broker->parts_.table.SetRules(TopicRules(options.history, options.topics));
  auto bus = BusDirectory::Open(options.dir);
  if (!bus.ok()) return bus.status();
  broker->parts_.bus = *std::move(bus);
  auto files =
      RetainedFiles::Open(*broker->parts_.bus, broker->parts_.retained,
                          broker->parts_.options, broker->parts_.counters);
  if (!files.ok()) return files.status();
  broker->retained_files_ = *std::move(files);
  status = broker->StartWorkers();
  if (status.ok()) status = broker->OpenDoors();
  if (!status.ok()) return status;
  return broker;
}

Broker::~Broker() {
  if (!stopped_) (void)Stop();
}

absl::Status Broker::StartWorkers() {
  parts_.stats = this;
  parts_.on_subscribed = [this] {
    taps_->NudgeIns();
    parts_.workers.front()->loop().Post([this] { sys_stats_->OnSubscribed(); });
  };
  const int count = WorkerCount(parts_.options);
  // A spinning worker needs a core of its own, and one is left to the clients.
  const int spinning =
      std::max(0, static_cast<int>(std::thread::hardware_concurrency()) - 1);
  const AdaptiveSpin spin = parts_.options.busy_poll > absl::ZeroDuration()
                                ? AdaptiveSpin::Always(parts_.options.busy_poll)
                                : AdaptiveSpin(parts_.options.adaptive_spin);
  for (int i = 0; i < count; ++i) {
    auto worker =
        Worker::Start(i, parts_.options, i < spinning ? spin : AdaptiveSpin(),
                      &parts_.pipe_growth);
    if (!worker.ok()) return worker.status();
    parts_.routers.push_back(std::make_unique<Router>(
        parts_.options, parts_.table, parts_.counters, parts_.topic_stats,
        &(*worker)->staging(), &parts_.retained));
    parts_.workers.push_back(*std::move(worker));
  }
  MakeGroups();
  return OpenLogs();
}

absl::Status Broker::OpenLogs() {
  logs_ = std::make_unique<LogSet>(
      parts_.options, parts_.workers.size(),
      [this](size_t worker, absl::Duration delay, std::function<void()> task) {
        EventLoop& loop = parts_.workers[worker]->loop();
        if (delay == absl::ZeroDuration()) return loop.Post(std::move(task));
        loop.Post([&loop, delay, task = std::move(task)] {
          loop.RunAfter(delay, task);
        });
      });
  return SetLogs(parts_.options.logs);
}

absl::Status Broker::SetLogs(const std::vector<LogRule>& rules) {
  absl::Status status = logs_->SetRules(rules);
  if (status.ok()) parts_.table.SetLogs(logs_->table());
  return status;
}

// Not on the worker with the doors, if there is another.
void Broker::MakeGroups() {
  Worker& worker = *parts_.workers.back();
  parts_.group_host = std::make_unique<WorkerGroupHost>(
      parts_.options, worker, parts_.RouterOf(worker), parts_.counters);
  parts_.groups = std::make_unique<GroupTable>(
      parts_.options, parts_.table, parts_.egress_ids, parts_.counters,
      *parts_.group_host);
}

void Broker::MakeDoors() {
  Worker& worker = *parts_.workers.front();
  sys_stats_ = std::make_unique<SysStats>(parts_, worker);
  taps_ = std::make_unique<TapTree>(parts_, worker);
  door_ = std::make_unique<SessionDoor>(
      parts_, worker, [this](UniqueFd up, UniqueFd down) {
        OnPair(std::move(up), std::move(down));
      });
}

absl::Status Broker::OpenDoors() {
  MakeDoors();
  absl::Status status;
  RunOn(*parts_.workers.front(), [&] {
    status = taps_->Open();
    if (status.ok()) status = door_->Open();
  });
  return status;
}

// Sessions go to the workers in turn.
void Broker::OnPair(UniqueFd up, UniqueFd down) {
  const uint64_t number = ++sessions_made_;
  Worker& worker = *parts_.workers[number % parts_.workers.size()];
  if (parts_.options.session_pipe_bytes > 0) {
    TrySetPipeBytes(up.get(), parts_.options.session_pipe_bytes);
    TrySetPipeBytes(down.get(), parts_.options.session_pipe_bytes);
  }
  // std::function wants what it holds to be copyable.
  auto pair = std::make_shared<std::pair<UniqueFd, UniqueFd>>(std::move(up),
                                                              std::move(down));
  worker.loop().Post([this, number, &worker, pair] {
    auto link = SessionLink::Open(
        number, parts_, worker, std::move(pair->first), std::move(pair->second),
        [this](uint64_t ended) { ForgetLink(ended); });
    if (!link.ok()) {
      LogError("session not opened",
               {{"number", number}, {"error", link.status().ToString()}});
      return;
    }
    KeepLink(*std::move(link));
  });
}

void Broker::KeepLink(std::shared_ptr<SessionLink> link) {
  MutexLock lock(mutex_);
  links_.emplace(link->number(), std::move(link));
}

void Broker::ForgetLink(uint64_t number) {
  MutexLock lock(mutex_);
  links_.erase(number);
}

absl::Status Broker::SetTopicRules(const std::vector<TopicRule>& rules) {
  absl::Status status = CheckTopicRules(rules);
  if (!status.ok()) return status;
  parts_.table.SetRules(TopicRules(parts_.options.history, rules));
  RunOn(*parts_.workers.front(), [this] { taps_->OnRules(); });
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    RunOn(link->worker(), [&] { link->OnRules(); });
  }
  return absl::OkStatus();
}

std::vector<std::shared_ptr<SessionLink>> Broker::Links() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<SessionLink>> links;
  for (const auto& [number, link] : links_) links.push_back(link);
  return links;
}

void Broker::RunOn(Worker& worker, const std::function<void()>& task) const {
  std::promise<void> done;
  worker.loop().Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

Broker::Leftover Broker::Stop() {
  stopped_ = true;
  if (!taps_) return {};  // never started
  Worker& front = *parts_.workers.front();
  RunOn(front, [this] {
    door_->Close();
    taps_->Finish();
  });
  // Whom the door has let in is with its worker by now: one task ahead of
  // these.
  for (const auto& worker : parts_.workers) RunOn(*worker, [] {});
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    RunOn(link->worker(), [&] { link->BeginStop(); });
  }
  const absl::Duration deadline = MonotonicNow() + parts_.options.drain_timeout;
  Leftover leftover = Undelivered();
  while (leftover.sessions + leftover.bytes > 0 && MonotonicNow() < deadline) {
    absl::SleepFor(kStopPoll);
    leftover = Undelivered();
  }
  // Before any end, which would let publishers that are held back go on.
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    RunOn(link->worker(),
          [&] { leftover.unread_bytes += link->unread_bytes(); });
  }
  RunOn(front, [&] { leftover.unread_bytes += taps_->unread_bytes(); });
  // Before its members, or their messages would go from one to the next.
  parts_.groups->EndAll();
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    RunOn(link->worker(), [&] { link->End(); });
  }
  RunOn(front, [&] {
    const TapSet::Leftover of_taps = taps_->Close();
    leftover.lines = of_taps.lines;
    leftover.messages = of_taps.messages;
    sys_stats_->Stop();
  });
  logs_->Close();  // commits what they have taken, and resumes publishers
  // What the ends have posted refers to this object.
  for (const auto& worker : parts_.workers) RunOn(*worker, [] {});
  LogStop(leftover);
  parts_.workers.clear();
  retained_files_.reset();
  return leftover;
}

Broker::Leftover Broker::Undelivered() const {
  Leftover leftover;
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    if (!link->finished()) ++leftover.sessions;
    leftover.bytes += link->queued_bytes();
  }
  leftover.bytes += parts_.groups->DrainableBytes();
  RunOn(*parts_.workers.front(), [&] {
    if (!taps_->finished()) ++leftover.sessions;
    leftover.bytes += taps_->queued_bytes();
  });
  return leftover;
}

void Broker::LogStop(const Leftover& leftover) const {
  const uint64_t messages = parts_.counters.messages_published.value();
  if (leftover.sessions + leftover.bytes + leftover.unread_bytes > 0) {
    LogWarning("stopped before all was delivered",
               {{"messages", messages},
                {"sessions_not_finished", leftover.sessions},
                {"bytes_not_delivered", leftover.bytes},
                {"bytes_not_read", leftover.unread_bytes},
                {"lines_without_subscriber", leftover.lines},
                {"messages_without_reader", leftover.messages}});
  } else if (leftover.lines + leftover.messages > 0) {
    LogWarning("stopped, and some was delivered to nobody",
               {{"messages", messages},
                {"lines_without_subscriber", leftover.lines},
                {"messages_without_reader", leftover.messages}});
  } else {
    LogInfo("stopped, all delivered", {{"messages", messages}});
  }
}

pb::StatsReply Broker::CollectTopic(const std::string& topic) const {
  pb::StatsReply reply;
  AddTopic(topic, parts_.topic_stats.SumOf(topic), *parts_.table.snapshot(),
           reply);
  return reply;
}

pb::StatsReply Broker::CollectStats() const {
  pb::StatsReply reply;
  std::map<std::string, TopicSum> topics;  // in the order of names
  parts_.topic_stats.Collect(
      [&](const std::string& topic, const TopicSum& sum) {
        topics.emplace(topic, sum);
      });
  const auto snapshot = parts_.table.snapshot();
  for (const auto& [name, sum] : topics) AddTopic(name, sum, *snapshot, reply);
  SetSum(parts_.topic_stats.replies(), *reply.mutable_reply_topics());
  SetSum(parts_.topic_stats.forgotten(), *reply.mutable_forgotten_topics());
  for (const std::shared_ptr<SessionLink>& link : Links()) {
    link->AppendStats(reply);
  }
  taps_->AppendStats(reply);
  parts_.groups->AppendStats(reply);
  AppendLogStats(snapshot->logs(), reply);
  for (pb::StatsReply::Log& log : *reply.mutable_logs()) {
    for (pb::StatsReply::Reader& reader : *log.mutable_readers()) {
      if (!reader.group().empty()) {
        parts_.groups->AddToStats(log.name(), reader);
      }
    }
  }
  parts_.ForEachCounter([&](std::string_view name, uint64_t value) {
    pb::StatsReply::Counter& counter = *reply.add_counters();
    counter.set_name(name.data(), name.size());
    counter.set_value(value);
  });
  return reply;
}

}  // namespace fifobus
