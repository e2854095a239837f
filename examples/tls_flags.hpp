#pragma once

#include <evio/evio.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace examples {

/// Adds the flags of a program that serves TLS.
inline void add_tls_flags(Flags& flags, evio::TlsFiles& files) {
  flags.add("tls-cert", files.certificate, "serve TLS: PEM file of the certificate chain")
      .add("tls-key", files.key, "PEM file of its key; if empty, the key is in the file of the certificate");
}

/// Throws if a file cannot be used, and where evio::tls is not built.
inline evio::TlsContext load_tls([[maybe_unused]] const evio::TlsFiles& files) {
#ifdef EVIO_EXAMPLES_TLS
  evio::Error err;
  evio::TlsContext context = evio::TlsContext::load(files, err);
  if (err) throw std::runtime_error(err.message());
  return context;
#else
  throw std::runtime_error("TLS is not available: this program was built without evio::tls, which needs OpenSSL 3");
#endif
}

/// Serves TLS with these files, and logs why a handshake has failed. Does nothing, and returns false, if there is no
/// certificate.
inline bool serve_tls(evio::Events& events, const evio::TlsFiles& files) {
  if (files.certificate.empty()) {
    if (!files.key.empty()) throw std::runtime_error("-tls-key needs -tls-cert");
    return false;
  }
  events.tls = [context = load_tls(files)](int, std::string_view) { return context; };
  events.notice = [](evio::Notice what, const evio::Error& err) {
    if (what == evio::Notice::HandshakeFailed) log(err.message());
  };
  return true;
}

/// Throws unless it is a TLS address: with a certificate given, nobody expects plain text to be served.
inline void require_tls(const std::string& address) {
  if (!address.starts_with("tls")) throw std::runtime_error("-tls-cert: " + address + " does not begin with tls");
}

/// How that address is dialed: with these files if it is one of TLS.
inline evio::Dial dial_of(const std::string& address, const evio::TlsFiles& files) {
  evio::Dial how;
  if (address.starts_with("tls")) how.tls = load_tls(files);
  return how;
}

}  // namespace examples
