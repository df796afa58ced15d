// The log on a disk that does its worst, in an order drawn from a seed, against
// a model of a few lines: what was confirmed is there, once, in order and byte
// for byte; what was not is there whole or not at all; what a flipped bit has
// spoilt is told and never delivered.
//
// FIFOBUS_LOG_SEEDS: how many seeds; FIFOBUS_LOG_SEED: only this one, with its
// trace.

#include "tests/support/log_simulation.h"

#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "broker/base/log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"

namespace fifobus {
namespace {

constexpr uint32_t kSeeds = 300;

// The second reader of the format, over all folders at once.
std::string ReadByPython(const std::string& folder) {
  const std::string command =
      fmt::format("python3 tests/support/log_reader.py {}", folder);
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char bytes[4096];
  for (size_t size; (size = fread(bytes, 1, sizeof(bytes), pipe)) > 0;) {
    text.append(bytes, size);
  }
  EXPECT_EQ(pclose(pipe), 0);
  return text;
}

uint32_t NumberFrom(const char* variable, uint32_t otherwise) {
  const char* text = getenv(variable);
  return text == nullptr ? otherwise : static_cast<uint32_t>(atoi(text));
}

std::string TraceOf(uint32_t seed) {
  LogSimulation simulation(seed, true);
  (void)simulation.Run();
  const std::vector<std::string>& trace = simulation.machine().trace();
  std::string text;
  for (size_t i = trace.size() - std::min<size_t>(trace.size(), 120);
       i < trace.size(); ++i) {
    text += trace[i] + "\n";
  }
  return text;
}

TEST(LogSimulationTest, WhatIsConfirmedSurvivesWhateverTheDiskDoes) {
  StartLog(LogLevel::kOff);
  const uint32_t only = NumberFrom("FIFOBUS_LOG_SEED", 0);
  const uint32_t first = only == 0 ? 1 : only;
  const uint32_t last =
      only == 0 ? NumberFrom("FIFOBUS_LOG_SEEDS", kSeeds) : only;
  const std::string folder = testing::TempDir() + "/logs";
  std::filesystem::remove_all(folder);
  std::string expected;
  uint64_t confirmed = 0;
  uint64_t crashes = 0;
  uint64_t missing = 0;
  for (uint32_t seed = first; seed <= last; ++seed) {
    LogSimulation simulation(seed, false);
    const std::string fault = simulation.Run();
    ASSERT_EQ(fault, "") << "FIFOBUS_LOG_SEED=" << seed << "\n"
                         << TraceOf(seed);
    confirmed += simulation.confirmed();
    crashes += simulation.crashes();
    missing += simulation.missing();
    const std::string name = fmt::format("{:06}", seed);
    expected += name + "\n" + simulation.Dump(folder + "/" + name);
  }
  fmt::print("{} seeds: {} messages confirmed, {} crashes, {} spoilt\n",
             last - first + 1, confirmed, crashes, missing);
  if (only == 0) {
    // A simulation in which nothing happens finds nothing.
    EXPECT_GT(confirmed, 20 * (last - first));
    EXPECT_GT(crashes, 3 * (last - first));
    EXPECT_GT(missing, 0u);
  }
  const std::string read = ReadByPython(folder);
  const size_t differ =
      std::mismatch(read.begin(), read.end(), expected.begin(), expected.end())
          .first -
      read.begin();
  const size_t shown = differ - std::min<size_t>(differ, 500);
  EXPECT_TRUE(read == expected) << "log_reader.py reads\n"
                                << read.substr(shown, 700) << "\ninstead of\n"
                                << expected.substr(shown, 700);
}

}  // namespace
}  // namespace fifobus
