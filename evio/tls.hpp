#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "evio/error.hpp"

namespace evio {

namespace internal {
class TlsAccess;
class TlsState;
}  // namespace internal

/// What a TlsContext is made of. Thread-safety: a plain value.
struct TlsFiles {
  /// PEM file of the certificate chain, the leaf certificate first. Empty, as `key` is: a context for dialing only,
  /// without a certificate of its own.
  std::string certificate = {};
  /// PEM file of its key. Empty: it is looked for in `certificate`.
  std::string key = {};
  /// PEM file of the authorities to verify peers with. Empty: the system's for a dial, none for a listener. If
  /// `certificate` is set, the first dial reads the system's, which keeps its loop for tens of milliseconds.
  std::string ca = {};
  /// Listener: a client without a certificate that `ca` has signed gets no connection.
  bool require_client = false;
  /// Dial: the server's certificate and name are verified.
  bool verify = true;
  /// Application protocols (RFC 7301), the preferred one first. If both sides have some, and none in common, there is
  /// no connection.
  std::vector<std::string> alpn = {};
  /// The lowest version of TLS that is accepted: 12 or 13.
  int min_version = 12;
};

/// A certificate, its key and how to use them: see Events::tls and Dial::tls. A small handle: copies share what was
/// loaded, which never changes and lives as long as any of them, or a connection that was made with it. A
/// default-constructed TlsContext refers to nothing. Thread-safety: all methods may be called from any thread.
class TlsContext {
 public:
  /// Refers to nothing.
  TlsContext() noexcept = default;

  /// Reads the files. If it fails, returns a TlsContext of nothing, and sets `err`, which names the file. A key that is
  /// protected by a pass phrase is an error, and so are require_client without `ca`, and another min_version.
  ///
  /// To renew a certificate, load the new one with the context it replaces as `previous`, and return it from
  /// Events::tls from then on: sessions of clients that know the previous one, or one before that, can be resumed.
  ///
  /// In the library evio::tls, as is native().
  static TlsContext load(const TlsFiles& files, Error& err, const TlsContext& previous = {});
  /// The SSL_CTX of OpenSSL (SSL_CTX_new(3)), for what TlsFiles does not have; nullptr if this refers to nothing. To be
  /// changed only before the context is first used.
  void* native() const;
  /// Whether it refers to anything.
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  friend class internal::TlsAccess;

  explicit TlsContext(std::shared_ptr<const internal::TlsState> state) noexcept : state_(std::move(state)) {}

  std::shared_ptr<const internal::TlsState> state_;
};

/// What the two sides of a TLS connection have agreed on: see Conn::tls().
struct TlsInfo {
  std::string version;                  ///< "TLSv1.2" or "TLSv1.3".
  std::string cipher;                   ///< As OpenSSL names it: "TLS_AES_256_GCM_SHA384".
  std::string alpn;                     ///< The application protocol; empty: none.
  std::string server_name;              ///< The name that the client has asked for, in lower case; empty: none.
  std::string peer_subject;             ///< Of the peer's verified certificate, as RFC 4514 writes it; empty: none.
  std::vector<std::string> peer_names;  ///< Its DNS names and IP addresses; others as "email:..." and "URI:...".
  bool resumed = false;                 ///< An earlier session was resumed.
};

}  // namespace evio
