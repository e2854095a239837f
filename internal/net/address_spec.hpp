#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "evio/error.hpp"
#include "internal/net/proxy_header.hpp"
#include "internal/net/socket_address.hpp"

namespace evio::internal {

/// What the text of an address says: `scheme://address?options`.
struct AddressSpec {
  enum class Family : std::uint8_t { kBoth, kV4, kV6 };
  /// Where its sockets come from: they are made here, or were given to the process.
  enum class Source : std::uint8_t { kMade, kDescriptor, kSystemd };

  std::string text;                     // as the user wrote it, for messages
  std::string_view purpose = "listen";  // what it is for: a literal
  Network network = Network::kTcp;
  Family family = Family::kBoth;
  std::string host;  // empty: all of this host's addresses
  std::uint16_t port = 0;
  std::string path;  // unix
  bool reuse_port = false;
  int backlog = 0;        // 0: as long as the system allows
  int mode = -1;          // of the file of a unix socket; -1: as the umask says
  bool portable = false;  // a scheme that ends in -net
  bool tls = false;
  std::optional<ProxyVersions> proxy = {};
  Source source = Source::kMade;
  int descriptor = -1;  // kDescriptor
  std::string name;     // kSystemd; empty: all
};

/// Reads an address to listen on; an error names it, what is wrong with it and what was probably meant, and leaves
/// `spec` unspecified except for its text, its source and the descriptor it names.
Error parse_address(std::string_view text, AddressSpec& spec);
/// The same for an address to connect to: it has a port or a path, has no options, and names no given socket.
Error parse_peer_address(std::string_view text, AddressSpec& spec);

/// Sets what the name of a scheme, "tcp4-net", stands for; false when there is none of that name.
bool find_scheme(std::string_view name, AddressSpec& spec);

/// The same error, with what was probably meant by the address where there is something better to say.
Error with_likely_address(Error err, std::string_view text);

/// An error about one address: "listen <text>: <what>", or "dial" for one to connect to.
Error address_error(const AddressSpec& spec, std::error_code code, std::string_view what);
/// The same, for a call that failed: "listen <text>: <call>: <the code's message>", and the limit it met, if any.
Error call_error(const AddressSpec& spec, std::error_code code, std::string_view call);

}  // namespace evio::internal
