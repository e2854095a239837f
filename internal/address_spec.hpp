#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "evio/error.hpp"
#include "internal/socket_address.hpp"

namespace evio::internal {

/// What the text of an address says: `scheme://address?options`.
struct AddressSpec {
  enum class Family : std::uint8_t { kBoth, kV4, kV6 };

  std::string text;  // as the user wrote it, for messages
  Network network = Network::kTcp;
  Family family = Family::kBoth;
  std::string host;  // empty: all of this host's addresses
  std::uint16_t port = 0;
  std::string path;  // unix
  bool reuse_port = false;
  bool portable = false;  // a scheme that ends in -net
};

/// Reads one address; an error names it and what is wrong with it, and leaves `spec` unspecified.
Error parse_address(std::string_view text, AddressSpec& spec);

/// An error about one address: "listen <text>: <what>".
Error address_error(const AddressSpec& spec, std::error_code code, std::string_view what);
/// The same, for a call that failed: "listen <text>: <call>: <the code's message>".
Error call_error(const AddressSpec& spec, std::error_code code, std::string_view call);

}  // namespace evio::internal
