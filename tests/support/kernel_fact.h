#ifndef FIFOBUS_TESTS_SUPPORT_KERNEL_FACT_H_
#define FIFOBUS_TESTS_SUPPORT_KERNEL_FACT_H_

#include <cstring>
#include <iostream>
#include <string>

// How the tests of the kernel say what it answered.
namespace fifobus {

inline std::string ErrnoName(int error) {
  return error == 0 ? "ok" : strerrorname_np(error);
}

// Prints one fact. Returns the answer, for assertions.
template <typename Answer>
Answer Kernel(const char* fact, Answer answer) {
  std::cout << "kernel: " << fact << ": " << answer << std::endl;
  return answer;
}

}  // namespace fifobus

#endif  // FIFOBUS_TESTS_SUPPORT_KERNEL_FACT_H_
