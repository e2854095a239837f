#pragma once

#include <evio/evio.hpp>

namespace http {

struct Options {
  bool aaaa = false;    // answer with 1,024 times 'a' instead of "Hello World!"
  bool noparse = true;  // answer without taking the request apart
};

/// The server: every request is answered 200 with the same body, in order, however many came at once. What is no
/// request, or is too large, or asks for what is not implemented, is answered 400, 413, 414, 431, 501 or 505, and the
/// connection closed.
evio::Events events(const Options& options);

}  // namespace http
