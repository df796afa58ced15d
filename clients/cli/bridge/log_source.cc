#include "clients/cli/bridge/log_source.h"

#include "clients/cli/bridge/text.h"
#include "proto/frame.pb.h"

namespace fifobus::bridge {
namespace {

// A broker that does not answer a Subscribe in this time makes the bridge end;
// it is started again from outside.
constexpr absl::Duration kSubscribePatience = absl::Seconds(5);

// The log in which the reader is; empty: in none.
std::string LogOfReader(const pb::StatsReply& stats,
                        const std::string& durable) {
  for (const pb::StatsReply::Log& log : stats.logs()) {
    for (const pb::StatsReply::Reader& reader : log.readers()) {
      if (reader.name() == durable) return log.name();
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> OpenLogSource(
    const ClientOptions& options, const std::string& pattern,
    const std::string& durable) {
  auto client = Client::Connect(options);
  if (!client.ok()) return client.status();
  SubscribeOptions subscribe;
  subscribe.start = Start::First();
  subscribe.durable = durable;
  subscribe.auto_ack = false;
  const absl::Status status =
      (*client)->Subscribe(pattern, subscribe, kSubscribePatience);
  if (!status.ok()) return status;
  (*client)->set_mode(Mode::kNonBlocking);
  return client;
}

absl::Status MoveLogSource(const ClientOptions& options,
                           const std::string& durable, uint64_t offset) {
  auto client = Client::Connect(options);
  if (!client.ok()) return client.status();
  const auto stats = (*client)->Stats();
  if (!stats.ok()) return stats.status();
  pb::LogRequest request;
  request.set_log(LogOfReader(*stats, durable));
  if (request.log().empty()) {
    return absl::NotFoundError(
        Concat("no log has a durable reader named ", durable));
  }
  request.mutable_seek()->set_durable(durable);
  request.mutable_seek()->mutable_start()->set_offset(offset);
  return (*client)->AskLog(request).status();
}

}  // namespace fifobus::bridge
