#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "evio/tls.hpp"
#include "internal/stream/tls_session.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {

using internal::TlsAccess;
using internal::TlsSession;
using Progress = TlsSession::Progress;

/// Two ends of a stream that do not block. Thread-safety: one thread.
struct SocketPair {
  UniqueFd server, client;

  SocketPair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    server = UniqueFd(ends[0]);
    client = UniqueFd(ends[1]);
  }
};

inline std::unique_ptr<TlsSession> accept(const TlsContext& context, std::string_view received = {},
                                          std::string server_name = {}) {
  const auto& state = TlsAccess::state(context);
  return state->accept(state, received, std::move(server_name));
}

inline std::unique_ptr<TlsSession> connect(const TlsContext& context, std::string host) {
  const auto& state = TlsAccess::state(context);
  return state->connect(state, std::move(host));
}

/// Both sides of one connection, each a session of the library. Thread-safety: one thread.
struct Connection {
  SocketPair sockets;
  std::unique_ptr<TlsSession> server, client;
  Progress server_progress = Progress::kWantsRead, client_progress = Progress::kWantsRead;

  Connection(const TlsContext& server_context, const TlsContext& client_context, const std::string& host = "a.example")
      : server(accept(server_context, {}, is_address(host) ? "" : host)), client(connect(client_context, host)) {}

  static bool is_address(const std::string& host) {
    return host.find_first_not_of("0123456789abcdef.:") == std::string::npos;
  }

  static bool goes_on(Progress progress) { return progress != Progress::kDone && progress != Progress::kFailed; }
  /// Until both are done, or one has failed and the other had its chance to see that. True: both are done.
  bool shake_hands() {
    for (int i = 0; i < 20 && (goes_on(client_progress) || goes_on(server_progress)); ++i) {
      if (goes_on(client_progress)) client_progress = client->handshake(sockets.client.get());
      if (goes_on(server_progress)) server_progress = server->handshake(sockets.server.get());
    }
    return client_progress == Progress::kDone && server_progress == Progress::kDone;
  }
  bool send_from_server(std::string_view text) { return send(*server, sockets.server.get(), text); }
  bool send_from_client(std::string_view text) { return send(*client, sockets.client.get(), text); }
  /// All that has arrived. "EAGAIN" is no part of it, as it should be the end; any other is: "hello|0", "|EPROTO".
  std::string read_at_server() { return read(*server, sockets.server.get()); }
  std::string read_at_client() { return read(*client, sockets.client.get()); }

  static bool send(TlsSession& from, int fd, std::string_view text) {
    const iovec part{const_cast<char*>(text.data()), text.size()};
    return from.write(fd, {&part, 1}) == static_cast<ssize_t>(text.size());
  }
  static std::string read(TlsSession& to, int fd) {
    std::string text;
    std::array<char, 32 * 1024> room;
    for (;;) {
      const ssize_t n = to.read(fd, room);
      if (n == 0) return text + "|0";
      if (n < 0) return errno == EAGAIN ? text : text + "|" + ::strerrorname_np(errno);
      text.append(room.data(), static_cast<std::size_t>(n));
    }
  }
};

/// Files and contexts, as most tests need them. Thread-safety: one thread.
class TlsTest : public testing::Test {
 protected:
  PemFolder folder;
  Certificate authority{{.common_name = "Authority", .authority = true}};
  Certificate leaf{{.common_name = "server", .names = {"DNS:a.example", "IP:127.0.0.1", "IP:::1"}}, &authority};
  Certificate user{{.common_name = "user", .names = {"email:u@b.example", "URI:spiffe://x/y"}, .more = "Evio, Inc."},
                   &authority};
  std::string ca = folder.write("ca.pem", authority.certificate_pem());

  static TlsContext loaded(const TlsFiles& files, const TlsContext& previous = {}) {
    Error err;
    TlsContext context = TlsContext::load(files, err, previous);
    EXPECT_FALSE(err) << err.message();
    return context;
  }
  static Error failure(const TlsFiles& files) {
    Error err;
    EXPECT_FALSE(TlsContext::load(files, err));
    return err;
  }
  TlsFiles files_of(const Certificate& certificate, const std::string& name) {
    return {.certificate = folder.write(name + ".pem", certificate.certificate_pem()),
            .key = folder.write(name + ".key", certificate.key_pem())};
  }
  TlsFiles server_files() { return files_of(leaf, "server"); }
  TlsFiles client_files() { return {.ca = ca}; }
  TlsFiles user_files() {
    TlsFiles files = files_of(user, "user");
    files.ca = ca;
    return files;
  }
  TlsContext server = loaded(server_files());
  TlsContext client = loaded(client_files());
};

}  // namespace evio::test
