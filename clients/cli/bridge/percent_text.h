#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_PERCENT_TEXT_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_PERCENT_TEXT_H_

#include <string>
#include <string_view>

// Bytes as %XX, as in URLs: https://www.rfc-editor.org/rfc/rfc3986#section-2.1.
// Thread-safe (no state).
namespace fifobus::bridge {

// Encodes each byte that `keeps` is false of. '%' must be one of them.
std::string PercentEncode(std::string_view text, bool (*keeps)(char));

// Decodes each %XX; a '%' without two hexadecimal digits stays.
std::string PercentDecode(std::string_view text);

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_PERCENT_TEXT_H_
