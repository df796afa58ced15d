#include "clients/cpp/bus_locator.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bus_support.h"

namespace fifobus {
namespace {

using Paths = std::vector<std::string>;

class BusLocatorTest : public testing::Test {
 protected:
  BusLocatorTest() {
    unsetenv("FIFOBUS_DIR");
    unsetenv("XDG_RUNTIME_DIR");
  }
  const std::string shared_memory_ =
      "/dev/shm/fifobus-" + std::to_string(geteuid());
};

TEST_F(BusLocatorTest, WhatIsNamedIsTheOnlyCandidate) {
  setenv("FIFOBUS_DIR", "/from/environment", 1);
  EXPECT_EQ(BusCandidates("/named"), Paths{"/named"});
  EXPECT_EQ(BusCandidates(""), Paths{"/from/environment"});
  EXPECT_EQ(BrokerDirectory("/named"), "/named");
  EXPECT_EQ(BrokerDirectory(""), "/from/environment");
}

TEST_F(BusLocatorTest, TheDefaultsAreTriedInTheirOrder) {
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(BusCandidates(""),
            (Paths{"/run/fifobus", "/run/user/7/fifobus", shared_memory_}));
  EXPECT_EQ(BrokerDirectory(""),
            geteuid() == 0 ? "/run/fifobus" : "/run/user/7/fifobus");
}

TEST_F(BusLocatorTest, AnEmptyVariableIsNone) {
  setenv("FIFOBUS_DIR", "", 1);
  setenv("XDG_RUNTIME_DIR", "", 1);
  EXPECT_EQ(BusCandidates(""), (Paths{"/run/fifobus", shared_memory_}));
}

TEST_F(BusLocatorTest, FindsALiveBrokerAndExplainsADeadOne) {
  TestBus bus;
  EXPECT_TRUE(CheckBus(bus.dir()).ok());
  setenv("FIFOBUS_DIR", bus.dir().c_str(), 1);
  const auto found = FindBus("");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, bus.dir());
  bus.Stop();
  const auto missing = FindBus("");
  ASSERT_TRUE(absl::IsUnavailable(missing.status())) << missing.status();
  const std::string message(missing.status().message());
  EXPECT_NE(message.find(bus.dir()), std::string::npos) << message;
  EXPECT_NE(message.find("fifobus serve"), std::string::npos) << message;
}

TEST_F(BusLocatorTest, EveryPlaceThatWasTriedIsNamed) {
  setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
  const auto missing = FindBus("");
  if (missing.ok()) GTEST_SKIP() << "a broker runs on this machine";
  const std::string message(missing.status().message());
  for (const std::string& place : BusCandidates("")) {
    EXPECT_NE(message.find(place), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace fifobus
