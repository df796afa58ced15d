#include "clients/cli/bridge/dry_run.h"

#include <poll.h>

#include <array>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "clients/cli/attend.h"
#include "clients/cli/bridge/bridge_plan.h"
#include "clients/cli/bridge/jet_stream.h"
#include "clients/cli/bridge/nats_link.h"
#include "clients/cli/bridge/stream_asking.h"
#include "clients/cli/bridge/text.h"
#include "clients/cpp/client.h"
#include "clients/cpp/deadline.h"
#include "fmt/format.h"
#include "proto/frame.pb.h"

namespace fifobus::bridge {
namespace {

// For all that NATS is asked. A server connects in milliseconds, and the link
// gives up an attempt after 2 s.
constexpr absl::Duration kPatience = absl::Seconds(3);

absl::StatusOr<BusNames> NamesOf(const ClientOptions& options) {
  const auto client = Client::Connect(options);
  if (!client.ok()) return client.status();
  const auto stats = (*client)->Stats();
  if (!stats.ok()) return stats.status();
  BusNames names;
  for (const auto& topic : stats->topics()) {
    names.topics.push_back(topic.name());
  }
  for (const auto& log : stats->logs()) {
    names.logs.push_back({log.name(), log.pattern()});
  }
  return names;
}

// Asks about streams, one question for each map that reads one.
// Thread-compatible.
class StreamQuestions : public NatsSender {
 public:
  explicit StreamQuestions(const BridgeConfig& config)
      : config_(config),
        inbox_(Concat(config.nats.inbox_prefix, ".", UniqueToken())) {
    for (size_t i = 0; i < config.maps.size(); ++i) {
      const MapConfig& map = config.maps[i];
      if (map.is_out() || map.is_live()) continue;
      answers_[i].fault = "the NATS server does not answer";
    }
  }

  // By the maps' indices.
  std::map<size_t, StreamNames> Ask() {
    if (answers_.empty()) return answers_;
    auto link = NatsLink::Start(config_.nats, {Concat(inbox_, ".*")});
    if (!link.ok()) {
      SetFault(MessageOf(link.status()));
      return answers_;
    }
    link_ = *std::move(link);
    missing_ = answers_.size();
    const Deadline deadline = kPatience;
    while (missing_ > 0 && !deadline.HasCome()) {
      std::array<pollfd, 1> polled = {{{link_->fd(), POLLIN, 0}}};
      cli::PollUntil(polled, deadline);
      for (const LinkEvent& event : link_->Take()) OnEvent(event);
    }
    return answers_;
  }

  SendOutcome Send(NatsMessage message) override {
    return link_->Send(std::move(message));
  }

 private:
  void SetFault(const std::string& fault) {
    for (auto& [map, names] : answers_) names.fault = fault;
  }

  void OnEvent(const LinkEvent& event) {
    switch (event.kind) {
      case LinkEvent::Kind::kConnected:
        for (const auto& [map, names] : answers_) AskOf(map, 0);
        break;
      case LinkEvent::Kind::kFailed:
      case LinkEvent::Kind::kError:
      case LinkEvent::Kind::kDisconnected:
        SetFault("the NATS server cannot be asked: " + event.text);
        break;
      case LinkEvent::Kind::kMessage:
        OnAnswer(event.message);
        break;
      case LinkEvent::Kind::kLost:
        break;
    }
  }

  void AskOf(size_t map, uint64_t first) {
    (void)AskJetStream(*this, StreamInfoSubject(config_.maps[map].stream),
                       Concat(inbox_, ".", map),
                       StreamSubjectsBody(config_.maps[map].filter, first));
  }

  void OnAnswer(const NatsMessage& answer) {
    const std::string_view subject = answer.subject;
    const auto map = ReadNumber(subject.substr(subject.rfind('.') + 1));
    const auto found = answers_.find(map.value_or(answers_.size()));
    if (found == answers_.end()) return;
    StreamNames& names = found->second;
    const auto stream = ReadStreamState(answer);
    if (!stream.ok()) {
      names.fault = Concat("stream ", config_.maps[*map].stream, ": ",
                           MessageOf(stream.status()));
      --missing_;
      return;
    }
    names.fault.clear();
    for (const std::string& held : stream->held_subjects) {
      names.subjects.push_back(held);
    }
    if (!stream->held_subjects.empty() &&
        names.subjects.size() < stream->held_subjects_total) {
      AskOf(*map, names.subjects.size());
    } else {
      --missing_;
    }
  }

  const BridgeConfig& config_;
  const std::string inbox_;
  std::unique_ptr<NatsLink> link_;
  std::map<size_t, StreamNames> answers_;
  size_t missing_ = 0;
};

}  // namespace

std::string DryRunText(const BridgeConfig& config, const ClientOptions& bus) {
  const auto names = NamesOf(bus);
  std::string text =
      names.ok() ? OutText(config, *names)
                 : fmt::format("the bus is not asked for its topics: {}\n",
                               MessageOf(names.status()));
  for (const auto& [map, stream] : StreamQuestions(config).Ask()) {
    text += InText(config.maps[map], stream);
  }
  return text;
}

}  // namespace fifobus::bridge
