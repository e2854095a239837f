#pragma once

#include <string_view>

namespace http {

/// Whether a text is a host with or without a port, as Host has it (RFC 9110, 7.2). It may be empty. An address in
/// brackets must be an IPv6 address: there are none of a later version.
bool is_authority(std::string_view text);

/// Whether a request with this method may have this target, made of bytes that a target may have: `/path?query`, a URI
/// with a host, or `*` for OPTIONS (RFC 9112, 3.2). CONNECT, whose target is of a fourth form, is not implemented.
bool is_target(std::string_view method, std::string_view target);

}  // namespace http
