#pragma once

#include <string_view>

namespace http {

/// Whether a text is a valid value of Host (RFC 9110, 7.2): a host, optionally with a port. It may be empty. An address
/// in brackets must be an IPv6 address; no later version exists.
bool is_authority(std::string_view text);

/// Whether a request with this method may have this target: `/path?query`, a URI with a host, or `*` for OPTIONS (RFC
/// 9112, 3.2). The target must consist of allowed bytes. CONNECT, whose target has a fourth form, is not implemented.
bool is_target(std::string_view method, std::string_view target);

}  // namespace http
