#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "evio/error.hpp"
#include "evio/tls.hpp"
#include "internal/stream/tls_session.hpp"
#include "internal/tls/alpn.hpp"
#include "internal/tls/client_sessions.hpp"
#include "internal/tls/openssl.hpp"
#include "internal/tls/ticket_keys.hpp"

namespace evio::internal {

/// What TlsFiles have become: an SSL_CTX for both roles, and what it does not keep itself. Thread-safety: any thread.
class OpensslContext final : public TlsState {
 public:
  /// `previous`: nullptr, or the one whose sessions it goes on with. nullptr, and `err`, if it fails. Throws
  /// std::bad_alloc.
  static std::shared_ptr<const TlsState> load(const TlsFiles& files, Error& err, const TlsState* previous);

  std::unique_ptr<TlsSession> accept(std::shared_ptr<const TlsState> self, std::string_view received,
                                     std::string server_name) const override;
  std::unique_ptr<TlsSession> connect(std::shared_ptr<const TlsState> self, std::string host) const override;
  void* native() const noexcept override { return context_.get(); }

  const TicketKeys& ticket_keys() const noexcept { return *ticket_keys_; }
  ClientSessions& client_sessions() const noexcept { return client_sessions_; }
  const Alpn& alpn() const noexcept { return alpn_; }
  /// Whether the servers that are dialed are verified.
  bool verifies_servers() const noexcept { return verifies_servers_; }

 private:
  OpensslContext();

  Error load_identity(const TlsFiles& files);
  Error load_authorities(const TlsFiles& files, TicketKeys::Authorities& digests);
  Error read_system_authorities() const;
  void prepare_to_dial() const;
  Error set_versions(int least);
  void set_options();
  void set_alpn();

  OpensslPtr<SSL_CTX> context_;
  Alpn alpn_;
  std::unique_ptr<const TicketKeys> ticket_keys_;
  mutable ClientSessions client_sessions_;
  bool verifies_servers_ = true;
  bool system_authorities_later_ = false;  // its first dial reads them
  mutable std::once_flag dials_;
};

}  // namespace evio::internal
