#ifndef FIFOBUS_TESTS_FUZZ_INPUT_H_
#define FIFOBUS_TESTS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fifobus::fuzz {

// What a fuzzer gave, cut into what a target asks for. Behind the end all
// numbers are 0 and all texts empty. Thread-compatible.
class Input {
 public:
  Input(const uint8_t* data, size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // From 0 to `most`, of two bytes.
  size_t Number(size_t most) {
    const size_t high = Byte();
    return (high << 8 | Byte()) % (most + 1);
  }
  uint64_t Word() {
    uint64_t word = 0;
    for (int i = 0; i < 8; ++i) word = word << 8 | Byte();
    return word;
  }
  // One byte of length and so many bytes.
  std::string_view Text() { return Take(Byte()); }
  std::string_view Take(size_t bytes) {
    const std::string_view text = rest_.substr(0, bytes);
    rest_.remove_prefix(text.size());
    return text;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace fifobus::fuzz

#endif  // FIFOBUS_TESTS_FUZZ_INPUT_H_
