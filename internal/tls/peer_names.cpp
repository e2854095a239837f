#include "internal/tls/peer_names.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <string>
#include <string_view>

namespace evio::internal {

namespace {

std::string subject_of(const X509* certificate) {
  const OpensslPtr<BIO> text(or_bad_alloc(BIO_new(BIO_s_mem())));
  // RFC 4514 is RFC 2253 with fewer escapes. UTF-8 stays as it is.
  if (X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) <
      0)
    throw std::bad_alloc();
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string ip_text(const ASN1_OCTET_STRING* address) {
  const int size = ASN1_STRING_length(address);
  const int family = size == 4 ? AF_INET : size == 16 ? AF_INET6 : AF_UNSPEC;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size()) == nullptr) return {};
  return text.data();
}

/// A name that no other can be mistaken for: one with a zero byte, or a line's end, is left out.
std::string plain_text(const ASN1_IA5STRING* name) {
  const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
                              static_cast<std::size_t>(ASN1_STRING_length(name)));
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return {};
  }
  return std::string(text);
}

/// Nothing that could pass for an IP address or for a name with a prefix: an authority may have signed anything as a
/// DNS name.
std::string dns_text(const ASN1_IA5STRING* name) {
  std::string text = plain_text(name);
  in_addr ip;
  if (text.find_first_of(":/@ ") != std::string::npos || ::inet_pton(AF_INET, text.c_str(), &ip) == 1) return {};
  return text;
}

std::string with_prefix(const char* prefix, const std::string& text) { return text.empty() ? text : prefix + text; }

std::string text_of(const GENERAL_NAME* name) {
  switch (name->type) {
    case GEN_DNS:
      return dns_text(name->d.dNSName);
    case GEN_IPADD:
      return ip_text(name->d.iPAddress);
    case GEN_EMAIL:
      return with_prefix("email:", plain_text(name->d.rfc822Name));
    case GEN_URI:
      return with_prefix("URI:", plain_text(name->d.uniformResourceIdentifier));
    default:
      return {};
  }
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  const OpensslPtr<GENERAL_NAMES> alternatives(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    std::string name = text_of(sk_GENERAL_NAME_value(alternatives.get(), i));
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

void describe_peer(SSL* ssl, TlsInfo& to) {
  to.version = SSL_get_version(ssl);
  to.cipher = SSL_get_cipher_name(ssl);
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &size);
  to.alpn.assign(reinterpret_cast<const char*>(protocol), size);
  to.resumed = SSL_session_reused(ssl) == 1;
  // Of a peer that nobody has verified nothing is said: it could call itself anything.
  const X509* const peer = SSL_get0_peer_certificate(ssl);
  if (peer == nullptr || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 || SSL_get_verify_result(ssl) != X509_V_OK)
    return;
  ERR_clear_error();
  to.peer_subject = subject_of(peer);
  to.peer_names = names_of(peer);
  ERR_clear_error();
}

}  // namespace evio::internal
