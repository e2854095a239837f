#pragma once

#include <string>

#include "evio/error.hpp"

namespace evio::internal {

/// Why a call of OpenSSL failed: the most telling entry of the thread's error queue. Thread-safety: a value.
struct OpensslError {
  unsigned long code = 0;  // 0: the queue was empty
  bool no_memory = false;

  /// Empties the queue of this thread.
  static OpensslError take() noexcept;

  /// "wrong version number".
  std::string words() const;
  /// The reason of an entry that libssl itself has made, SSL_R_...; 0: there is none.
  int ssl_reason() const noexcept;
  /// "unknown ca" where the peer has sent that alert (RFC 8446, 6.2), which ended the connection. Empty: it sent none.
  std::string alert() const;

  /// not_enough_memory, or else `code`, with `message` before the words.
  Error as_error(std::errc code, const std::string& message) const;
};

/// Empties the error queue of this thread, as is to be done before what SSL_get_error(3) is asked about.
/// ERR_clear_error(3) goes through all the places of a queue, those without an error too.
void clear_openssl_errors() noexcept;

}  // namespace evio::internal
