#pragma once

#include <string>
#include <string_view>

namespace evio::internal {

/// What was probably meant by an address that cannot be understood or resolved, such as "unix:rel", "http://:80" or
/// "/tmp/s.sock"; empty when there is no telling. It need not be an address itself.
std::string likely_address(std::string_view text);

}  // namespace evio::internal
