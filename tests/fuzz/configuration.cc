// Any configuration file: what is taken is valid in each part, and an error
// names the file.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "broker/base/log.h"
#include "broker/base/unique_fd.h"
#include "broker/rules/topic_rules.h"
#include "clients/cli/command.h"
#include "clients/cli/serve/config_file.h"
#include "clients/cli/serve/serve_options.h"
#include "fmt/format.h"
#include "proto/topic.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

void CheckSettings(const cli::ConfigFile& file) {
  cli::Command serve("serve", "");
  cli::ServeOptions options;
  cli::AddServeOptions(serve, options);
  const absl::Status status = cli::ApplySettings(file, serve);
  Require(status.ok() || std::string(status.message()).starts_with(file.path),
          "an error names the file");
}

void CheckFile(const cli::ConfigFile& file) {
  for (const TopicRule& rule : file.topics) {
    Require(CheckTopicRule(rule).ok(), "a [[topic]] that is taken is valid");
  }
  for (const LogRule& rule : file.logs) {
    Require(CheckPattern(rule.pattern) == TopicFault::kNone,
            "a [[log]] that is taken has a valid pattern");
    Require(CheckTopic(rule.name) == TopicFault::kNone,
            "a [[log]] that is taken has a name that is a level");
  }
  CheckSettings(file);
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  StartLog(LogLevel::kOff);
  const UniqueFd memory(memfd_create("configuration", MFD_CLOEXEC));
  Require(memory.valid() &&
              write(memory.get(), data, size) == static_cast<ssize_t>(size),
          "the file is written");
  const std::string path = fmt::format("/proc/self/fd/{}", memory.get());
  const auto file = cli::ReadConfigFile(path);
  if (file.ok()) {
    CheckFile(*file);
  } else {
    Require(std::string(file.status().message()).starts_with(path),
            "an error names the file");
  }
  return 0;
}
