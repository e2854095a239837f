#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evio::internal {

enum class ClientHello : std::uint8_t { kIncomplete, kName, kNotTls };

/// Finds the name of the server that a TLS client asks for. `bytes` is all that has come so far, and may hold more.
/// kIncomplete: the client's hello may still come to its end. kName: it is there; `name` is in lower case, and empty
/// when none was sent, or what was sent is malformed: that is for the TLS library to refuse. kNotTls: nothing that
/// begins so is a TLS handshake.
/// Throws std::bad_alloc, for the name.
ClientHello find_server_name(std::string_view bytes, std::string& name);

}  // namespace evio::internal
