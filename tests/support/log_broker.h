#ifndef FIFOBUS_TESTS_SUPPORT_LOG_BROKER_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_BROKER_H_

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/bus_locator.h"
#include "clients/cpp/client.h"
#include "gtest/gtest.h"
#include "tests/support/bus_support.h"
#include "tests/support/process.h"

namespace fifobus {

// A `fifobus serve` that is to be killed, with a log named orders which stores
// orders/** and outlives it. Thread-compatible.
class LogBrokerTest : public testing::Test {
 protected:
  void Serve() {
    broker_ = std::make_unique<Process>(
        std::vector<std::string>{FifobusBinary(), "serve", "--dir", bus_,
                                 "--workers", "2", "--state-dir", state_,
                                 "--log", "orders=orders/**"},
        "", log_);
    ASSERT_TRUE(WaitUntil([&] { return CheckBus(bus_).ok(); }))
        << ReadFile(log_);
  }

  void Kill() {
    broker_->Signal(SIGKILL);
    EXPECT_EQ(broker_->Wait(), -SIGKILL);
  }

  ClientOptions Options() const {
    ClientOptions options;
    options.dir = bus_;
    options.connect_timeout = kHang;
    return options;
  }

  // Null, and a failure of the test, if there is no broker.
  std::unique_ptr<Client> Connect(const std::string& publisher = "") const {
    ClientOptions options = Options();
    options.publisher = publisher;
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  const TempDir dir_;
  const std::string bus_ = dir_.path() + "/bus";
  const std::string state_ = dir_.path() + "/state";
  const std::string log_ = dir_.path() + "/log";
  std::unique_ptr<Process> broker_;
};

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_BROKER_H_
