#pragma once

#include <string>
#include <string_view>

namespace http {

/// One request taken apart. The views are of the text it was read from, but for a chunked body, which is of `storage`.
struct Request {
  std::string_view method, path, query, proto;
  std::string_view authority;  // of a target that is a whole URI; empty for any other
  std::string_view head;       // the lines of the fields
  std::string_view body;

  /// The value of a field, whatever the case of its name; empty when there is none.
  std::string_view field(std::string_view name) const;
  /// Where it was sent to: what Host says counts only where the target does not say it (RFC 9112, 3.2.2).
  std::string_view host() const { return authority.empty() ? field("host") : authority; }
};

/// Takes a whole request apart, as a Framer found it: what that has checked is not checked again.
Request parse(std::string_view whole, std::string& storage);

}  // namespace http
