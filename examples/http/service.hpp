#pragma once

#include <evio/evio.hpp>

namespace http {

struct Options {
  bool aaaa = false;    // answer with 1,024 times 'a' instead of "Hello World!"
  bool noparse = true;  // answer without taking the request apart
};

/// The server: every request is answered 200 with the same body, in order, however many came at once. What is no
/// request is answered 400, 413 or 431, and the connection closed.
evio::Events events(const Options& options);

}  // namespace http
