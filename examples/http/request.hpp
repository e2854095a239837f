#pragma once

#include <string>
#include <string_view>

namespace http {

/// A parsed request. The views refer to the bytes it was parsed from; a chunked body refers to `storage`.
struct Request {
  std::string_view method, path, query, proto;
  std::string_view authority;  // of a target that is a whole URI; empty otherwise
  std::string_view head;       // the field lines
  std::string_view body;

  /// The value of a field, whose name is case-insensitive; empty if there is none.
  std::string_view field(std::string_view name) const;
  /// The host it was sent to. Host is ignored if the target names one (RFC 9112, 3.2.2).
  std::string_view host() const { return authority.empty() ? field("host") : authority; }
};

/// Parses a whole request that a Framer has found and checked.
Request parse(std::string_view whole, std::string& storage);

}  // namespace http
