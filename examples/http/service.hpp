#pragma once

#include <evio/evio.hpp>

namespace http {

struct Options {
  bool aaaa = false;    // answer with 1,024 times 'a' instead of "Hello World!"
  bool noparse = true;  // answer without parsing the request
  // In seconds; 0: for ever.
  double header_timeout = 10;  // for a request's head to come, and for each 64 KiB of its body
  double write_timeout = 30;   // for a client to read the answers that wait, at most 64 KiB and one answer
  double idle_timeout = 60;    // without a byte in either direction
};

/// The server: it answers every request with 200 and the same body, in order, also when several arrive at once, but no
/// further than the client reads the answers: see examples::Pipeline. It answers a request that is malformed, too large
/// or not implemented with 400, 413, 414, 431, 501 or 505, and closes the connection. One that comes too slowly gets
/// 408, and a client that does not read is reset.
evio::Events events(const Options& options);

}  // namespace http
