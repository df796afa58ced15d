#include "broker/bus/sys_stats.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "broker/base/check.h"
#include "broker/base/clock.h"
#include "fmt/format.h"
#include "proto/frame_writer.h"

namespace fifobus {
namespace {

constexpr std::string_view kTopic = "$sys/stats";

// Names of counters need no escaping.
std::string CountersJson(const BusParts& parts) {
  std::string json;
  parts.ForEachCounter([&](std::string_view name, uint64_t value) {
    json += fmt::format("{}\"{}\":{}", json.empty() ? '{' : ',', name, value);
  });
  return json + '}';
}

}  // namespace

SysStats::SysStats(BusParts& parts, Worker& worker)
    : parts_(parts), worker_(worker) {}

void SysStats::OnSubscribed() {
  FIFOBUS_CHECK(worker_.IsCurrent());
  const auto now = parts_.table.snapshot()->Match(kTopic);
  const bool somebody_new =
      std::any_of(now.begin(), now.end(), [this](const auto& egress) {
        return std::find(subscribers_.begin(), subscribers_.end(), egress) ==
               subscribers_.end();
      });
  subscribers_ = now;
  if (!somebody_new) return;
  Publish();
  if (!timer_) {
    timer_ = worker_.loop().RunAfter(parts_.options.sys_stats_interval,
                                     [this] { Tick(); });
  }
}

void SysStats::Stop() {
  if (timer_) worker_.loop().Cancel(*std::exchange(timer_, std::nullopt));
}

std::optional<absl::Duration> SysStats::next() const {
  if (!timer_) return std::nullopt;
  return timer_->first;
}

void SysStats::Restore(absl::Duration next) {
  FIFOBUS_CHECK(worker_.IsCurrent());
  subscribers_ = parts_.table.snapshot()->Match(kTopic);
  timer_ = worker_.loop().RunAfter(
      std::max(next - MonotonicNow(), absl::ZeroDuration()),
      [this] { Tick(); });
}

void SysStats::Tick() {
  timer_.reset();
  subscribers_ = parts_.table.snapshot()->Match(kTopic);
  if (subscribers_.empty()) return;
  Publish();
  timer_ = worker_.loop().RunAfter(parts_.options.sys_stats_interval,
                                   [this] { Tick(); });
}

void SysStats::Publish() {
  const std::string json = CountersJson(parts_);
  MessageFields fields;
  fields.topic = kTopic;
  fields.payload = json;
  fields.publish_time_unix_nanos =
      static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  fields.content_type = "application/json";
  parts_.RouterOf(worker_).PublishOwn(fields);
}

}  // namespace fifobus
