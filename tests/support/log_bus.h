#ifndef FIFOBUS_TESTS_SUPPORT_LOG_BUS_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_BUS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "broker/options.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {

// A broker with a log named orders, which stores orders/**. Thread-compatible.
class LogBusTest : public testing::Test {
 protected:
  LogBusTest() {
    BrokerOptions options;
    options.state_dir = dir_.path() + "/state";
    LogRule rule;
    rule.name = "orders";
    rule.pattern = "orders/**";
    options.logs.push_back(rule);
    bus_ = std::make_unique<TestBus>(options);
  }

  // Stores that many messages, "1", "2" and so on.
  void StoreNumbers(uint64_t from, uint64_t to) const {
    const auto client = bus_->Connect();
    for (uint64_t number = from; number <= to; ++number) {
      ASSERT_EQ(client->Publish("orders/new", std::to_string(number)),
                PublishOutcome::kSent);
    }
    const auto stored = client->Flush(Level::kStored, kHang);
    ASSERT_TRUE(stored.ok()) << stored.status();
  }

  const TempDir dir_;
  std::unique_ptr<TestBus> bus_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_BUS_H_
