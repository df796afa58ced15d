// Which bytes are UTF-8, held against a decoder that is written out, and texts
// in JSON, which a JSON library reads back.

#include <cstdint>
#include <string>
#include <string_view>

#include "nlohmann/json.hpp"
#include "proto/json_text.h"
#include "tests/fuzz/oracle.h"

namespace fifobus::fuzz {
namespace {

// RFC 3629: decodes each code point and asks for its shortest form.
bool NaiveIsUtf8(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    const auto first = static_cast<uint8_t>(bytes[i]);
    const size_t more = first < 0x80            ? 0
                        : first >> 5 == 0b110   ? 1
                        : first >> 4 == 0b1110  ? 2
                        : first >> 3 == 0b11110 ? 3
                                                : 4;
    if (more == 4 || i + more >= bytes.size()) return false;
    uint32_t point = more == 0 ? first : first & (0x3f >> more);
    for (size_t j = 1; j <= more; ++j) {
      const auto byte = static_cast<uint8_t>(bytes[i + j]);
      if (byte >> 6 != 0b10) return false;
      point = point << 6 | (byte & 0x3f);
    }
    const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10ffff) return false;
    if (point >= 0xd800 && point <= 0xdfff) return false;
    i += 1 + more;
  }
  return true;
}

}  // namespace
}  // namespace fifobus::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fifobus;        // NOLINT
  using namespace fifobus::fuzz;  // NOLINT
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const bool is_utf8 = IsUtf8(bytes);
  Require(is_utf8 == NaiveIsUtf8(bytes), "IsUtf8");
  if (!is_utf8) return 0;
  std::string text;
  AppendJsonText(bytes, text);
  Require(text.find('\n') == std::string::npos, "a text is one line");
  const auto read = nlohmann::json::parse(text, nullptr, false);
  Require(read.is_string() && read.get<std::string>() == bytes,
          "a JSON library reads the text back");
  return 0;
}
