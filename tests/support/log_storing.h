#ifndef FIFOBUS_TESTS_SUPPORT_LOG_STORING_H_
#define FIFOBUS_TESTS_SUPPORT_LOG_STORING_H_

#include <cstdint>
#include <string>

#include "broker/core/logs/served_log.h"
#include "gtest/gtest.h"
#include "tests/support/pipe_support.h"

namespace fifobus {

// Appends a batch of one message, whatever its bytes are, and waits until it is
// on disk.
inline void StoreAndWait(ServedLog& log, const std::string& body,
                         uint64_t now_unix_nanos) {
  LogAppend append;
  append.count = 1;
  append.body_bytes = static_cast<uint32_t>(body.size());
  append.now_unix_nanos = now_unix_nanos;
  const AppendResult result =
      log.log().Append(append, [&](const DurableLog::Placement&, char* out) {
        body.copy(out, body.size());
      });
  ASSERT_EQ(result.outcome, AppendOutcome::kAppended);
  ASSERT_TRUE(
      WaitUntil([&] { return log.committed_offset() >= result.base_offset; }));
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_LOG_STORING_H_
