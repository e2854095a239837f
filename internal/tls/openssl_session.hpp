#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "internal/stream/tls_session.hpp"
#include "internal/tls/iovec_cursor.hpp"
#include "internal/tls/openssl_context.hpp"
#include "internal/tls/openssl_error.hpp"
#include "internal/tls/unsent_records.hpp"
#include "internal/tls/wire.hpp"

namespace evio::internal {

/// One TLS connection. OpenSSL reads from and writes to a Wire, which is the thread's; what of it the socket has not
/// taken, or OpenSSL not read, when a call ends is kept here. Thread-safety: its loop's thread.
class OpensslSession final : public TlsSession {
 public:
  enum class Role : std::uint8_t { kServer, kClient };

  /// `peer_name`: of a client, what it has dialed. Throws std::bad_alloc.
  OpensslSession(std::shared_ptr<const OpensslContext> context, Role role, std::string peer_name);
  ~OpensslSession() override;

  /// The session that OpenSSL calls back for; nullptr: the SSL is somebody else's.
  static const OpensslSession* of(const SSL* ssl) noexcept;
  const OpensslContext& context() const noexcept { return *context_; }
  const std::string& peer_name() const noexcept { return peer_name_; }
  const std::string& server_name() const noexcept { return info_.server_name; }

  // One of these, after the constructor. Both throw std::bad_alloc.
  void start_accepting(std::string_view received, std::string server_name);
  void start_connecting();

  Progress handshake(int fd) noexcept override;
  ssize_t read(int fd, std::span<char> to) noexcept override;
  ssize_t write(int fd, std::span<const iovec> parts) noexcept override;
  bool has_unsent() const noexcept override { return unsent_ != nullptr; }
  int flush(int fd) noexcept override;
  int end_output(int fd) noexcept override;
  bool has_input() const noexcept override;
  bool wants_input() const noexcept override { return wants_input_; }
  bool is_truncated() const noexcept override { return stage_ == Stage::kTruncated; }
  bool may_half_close() const noexcept override { return SSL_version(ssl_.get()) >= TLS1_3_VERSION; }
  const TlsInfo& info() const noexcept override { return info_; }
  const Error& failure() const noexcept override { return failure_; }

 private:
  enum class Stage : std::uint8_t {
    kHandshake,
    kDone,  // the handshake; something of it is unsent
    kOpen,
    kEnded,      // the peer has sent close_notify
    kTruncated,  // the peer has ended the socket's stream without it
    kFailed,
  };

  void set_name();
  void set_verification();
  void offer_session();

  // openssl_session.cpp
  bool receive_for_handshake(int fd, Wire& wire) noexcept;
  Progress continue_handshake(int fd, Wire& wire) noexcept;
  Progress finish_handshake(int fd) noexcept;
  bool is_protocol_acceptable() noexcept;
  Progress failed() noexcept { return stage_ = Stage::kFailed, Progress::kFailed; }

  // openssl_session_io.cpp
  void lend_input(Wire& wire) noexcept;
  bool keep_input(Wire& wire) noexcept;
  bool receive(int fd, Wire& wire, std::size_t at_most) noexcept;
  std::size_t decrypt(const Wire& wire, std::span<char> to) noexcept;
  void reading_failed(int error) noexcept;
  ssize_t nothing_read() noexcept;
  bool encrypt(IovecCursor& from, Wire& wire) noexcept;
  bool transmit(int fd, Wire& wire) noexcept;
  bool keep_unsent(const Wire& wire, std::size_t sent) noexcept;

  // Each of these makes it a session that has failed.
  void fail(std::errc code, const char* words) noexcept;
  void fail_with_system_error() noexcept;
  void fail_with_openssl_error() noexcept;
  Error describe(const OpensslError& error) const;
  int errno_of_failure() const noexcept;

  std::shared_ptr<const OpensslContext> context_;
  OpensslPtr<SSL> ssl_;
  std::string peer_name_;
  std::string input_;           // read from the socket, not yet by OpenSSL
  std::size_t input_read_ = 0;  // of input_
  std::unique_ptr<UnsentRecords> unsent_;
  std::size_t completed_ = 0;  // bytes that the socket has taken, and write() not yet returned
  int write_error_ = 0;        // of a send whose records are lost: nothing may follow them
  Stage stage_ = Stage::kHandshake;
  bool holds_input_ = false;   // OpenSSL does, that it may have read ahead or there was no room for
  bool untold_ = false;        // read() has yet to report the end, or the failure
  bool wants_read_ = false;    // the handshake does
  bool wants_input_ = false;   // write() does
  bool output_ended_ = false;  // by close_notify
  TlsInfo info_;
  Error failure_;
};

}  // namespace evio::internal
