#ifndef FIFOBUS_CLIENTS_CLI_INSPECT_METRIC_FAMILIES_H_
#define FIFOBUS_CLIENTS_CLI_INSPECT_METRIC_FAMILIES_H_

#include <vector>

#include "prometheus/metric_family.h"
#include "proto/frame.pb.h"

namespace fifobus::cli {

// A broker's counters in Prometheus's terms: families named fifobus_*, in
// messages, bytes and seconds. Names of counters end in _total:
// https://prometheus.io/docs/practices/naming/.
//
// Replies are gathered under topic="_inbox", because each requester has topics
// of its own there.
std::vector<prometheus::MetricFamily> MetricFamilies(
    const pb::StatsReply& stats);

// fifobus_up, which says whether the broker has answered.
prometheus::MetricFamily UpFamily(bool up);

}  // namespace fifobus::cli

#endif  // FIFOBUS_CLIENTS_CLI_INSPECT_METRIC_FAMILIES_H_
