#ifndef FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIBE_WITH_RETAINED_H_
#define FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIBE_WITH_RETAINED_H_

#include <memory>
#include <string_view>

#include "broker/core/delivery/egress.h"
#include "broker/core/retained/retained_store.h"
#include "broker/core/routing/subscription_table.h"

namespace fifobus {

// Subscribes an egress to a pattern so that it gets what is retained of the
// matching topics first and then, without a hole and without a duplicate, what
// is published from then on. Topics that another pattern of the egress matches
// already are passed over. REQUIRES: the pattern is valid.
//
// Thread-safe. The whole is one transaction of the store; nothing is waited
// for: what the pipe does not take is queued by reference.
void SubscribeWithRetained(RetainedStore& store, SubscriptionTable& table,
                           std::string_view pattern,
                           const std::shared_ptr<Egress>& egress);

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_CORE_ROUTING_SUBSCRIBE_WITH_RETAINED_H_
