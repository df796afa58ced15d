#ifndef FIFOBUS_PROTO_JSON_TEXT_H_
#define FIFOBUS_PROTO_JSON_TEXT_H_

#include <string>
#include <string_view>

// The little of JSON (RFC 8259) that printing a message needs.
namespace fifobus {

// True if `bytes` are well-formed UTF-8 (Unicode 15, table 3-7): no overlong
// forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view bytes);

// Appends `text` as a JSON string, quotes included. REQUIRES: IsUtf8(text).
void AppendJsonText(std::string_view text, std::string& out);

}  // namespace fifobus

#endif  // FIFOBUS_PROTO_JSON_TEXT_H_
