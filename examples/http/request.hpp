#pragma once

#include <string>
#include <string_view>

namespace http {

/// One request taken apart. The views are of the text it was read from, but for a chunked body, which is of `storage`.
struct Request {
  std::string_view method, path, query, proto;
  std::string_view head;  // the lines of the fields
  std::string_view body;

  /// The value of a field, whatever the case of its name; empty when there is none.
  std::string_view field(std::string_view name) const;
};

/// Takes a whole request apart, as a Framer found it: what that has checked is not checked again.
Request parse(std::string_view whole, std::string& storage);

}  // namespace http
