// A program that uses evio::tls as it is installed. It includes no header of OpenSSL.
#include <cstdio>

#include "evio/evio.hpp"
#include "evio/tls.hpp"

int main() {
  evio::Error err;
  const auto context = evio::TlsContext::load({.alpn = {"h2"}}, err);
  std::puts(err.message().c_str());
  const auto none = evio::TlsContext::load({.ca = "/nowhere"}, err);
  std::puts(err.message().c_str());
  return context && context.native() != nullptr && !none && err ? 0 : 1;
}
