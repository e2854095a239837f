#pragma once

#include <evio/evio.hpp>

namespace http {

struct Options {
  bool aaaa = false;    // answer with 1,024 times 'a' instead of "Hello World!"
  bool noparse = true;  // answer without parsing the request
};

/// The server: it answers every request with 200 and the same body, in order, also when several arrive at once. It
/// answers a request that is malformed, too large or not implemented with 400, 413, 414, 431, 501 or 505, and closes
/// the connection.
evio::Events events(const Options& options);

}  // namespace http
