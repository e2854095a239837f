#pragma once

#include <chrono>
#include <string>

#include "evio/tls.hpp"

namespace evio {

/// How Server::dial() connects. Thread-safety: a plain value.
struct Dial {
  /// How long the look-up of the name, the connection and the TLS handshake may take together. 0 or less means no
  /// limit.
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  /// The loop of the connection, 0 to num_loops - 1. With -1, a dial in a callback stays on that callback's loop, and
  /// any other goes where Events::load_balance says.
  int loop = -1;
  /// The address to connect from, "127.0.0.2", "127.0.0.2:7000" or "[::1]:7000". Empty: the system chooses. Only
  /// addresses of its family are tried. Not for unix sockets.
  std::string local = {};
  /// For tls://, how the server is verified; a TlsContext of nothing is an error there.
  TlsContext tls = {};
  /// For tls://, the name or IP address to ask for and to verify, if it is another than the host of the address.
  std::string server_name = {};
};

}  // namespace evio
