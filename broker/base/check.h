#ifndef FIFOBUS_BROKER_BASE_CHECK_H_
#define FIFOBUS_BROKER_BASE_CHECK_H_

// Ends the process if a programmer's assumption is false, in release builds
// too. Never for what comes from outside: bad input closes its client.
#define FIFOBUS_CHECK(condition)                                       \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::fifobus::internal_check::Fail(#condition, __FILE__, __LINE__); \
    }                                                                  \
  } while (false)

namespace fifobus::internal_check {

// Prints one line to standard error and aborts.
[[noreturn]] void Fail(const char* condition, const char* file, int line);

}  // namespace fifobus::internal_check

#endif  // FIFOBUS_BROKER_BASE_CHECK_H_
