#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <new>
#include <utility>

#include "internal/tls/openssl_session.hpp"

namespace evio::internal {

namespace {

struct IpAddress {
  std::array<unsigned char, 16> bytes;
  std::size_t size = 0;  // 0: the text is no IP address
};

IpAddress parse_ip(const std::string& text) {
  IpAddress ip;
  if (::inet_pton(AF_INET, text.c_str(), ip.bytes.data()) == 1) {
    ip.size = 4;
  } else if (::inet_pton(AF_INET6, text.substr(0, text.find('%')).c_str(), ip.bytes.data()) == 1) {
    ip.size = 16;  // "fe80::1%eth0": the zone is no part of what the certificate names
  }
  return ip;
}

/// In lower case and without the last dot, which neither SNI (RFC 6066, 3) nor a certificate has.
std::string normalized(std::string name) {
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

}  // namespace

std::unique_ptr<TlsSession> OpensslContext::accept(std::shared_ptr<const TlsState> self, std::string_view received,
                                                   std::string server_name) const {
  ERR_clear_error();
  auto session = std::make_unique<OpensslSession>(std::static_pointer_cast<const OpensslContext>(std::move(self)),
                                                  OpensslSession::Role::kServer, std::string());
  session->start_accepting(received, std::move(server_name));
  return session;
}

std::unique_ptr<TlsSession> OpensslContext::connect(std::shared_ptr<const TlsState> self, std::string host) const {
  ERR_clear_error();
  prepare_to_dial();
  auto session = std::make_unique<OpensslSession>(std::static_pointer_cast<const OpensslContext>(std::move(self)),
                                                  OpensslSession::Role::kClient, normalized(std::move(host)));
  session->start_connecting();
  return session;
}

void OpensslSession::start_connecting() {
  set_name();
  if (stage_ != Stage::kFailed) set_verification();
  if (stage_ != Stage::kFailed) offer_session();
}

void OpensslSession::set_name() {
  if (peer_name_.empty() || parse_ip(peer_name_).size != 0) return;  // no IP addresses: RFC 6066, 3
  info_.server_name = peer_name_;
  if (peer_name_.find('\0') == std::string::npos && SSL_set_tlsext_host_name(ssl_.get(), peer_name_.c_str()) == 1)
    return;
  if (OpensslError::take().no_memory) throw std::bad_alloc();
  fail(std::errc::invalid_argument, "the server's name is not one that can be asked for");
}

void OpensslSession::set_verification() {
  if (!context_->verifies_servers()) {
    SSL_set_verify(ssl_.get(), SSL_VERIFY_NONE, nullptr);
    return;
  }
  SSL_set_verify(ssl_.get(), SSL_VERIFY_PEER, nullptr);
  if (peer_name_.empty()) {  // OpenSSL would take any name
    fail(std::errc::invalid_argument, "there is no name to verify the server by");
    return;
  }
  X509_VERIFY_PARAM* const verification = SSL_get0_param(ssl_.get());
  // "*" alone stands for a label; the subject's common name is no name of a server (RFC 9525, 6.3 and 2).
  X509_VERIFY_PARAM_set_hostflags(verification,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  const IpAddress ip = parse_ip(peer_name_);
  const int set = ip.size != 0 ? X509_VERIFY_PARAM_set1_ip(verification, ip.bytes.data(), ip.size)
                               : X509_VERIFY_PARAM_set1_host(verification, peer_name_.data(), peer_name_.size());
  if (set != 1) throw std::bad_alloc();  // nothing else is wrong with what set_name() took
}

void OpensslSession::offer_session() {
  const auto earlier = context_->client_sessions().take(peer_name_);
  if (earlier) SSL_set_session(ssl_.get(), earlier.get());  // if it fails, the handshake is a full one
  ERR_clear_error();
}

}  // namespace evio::internal
