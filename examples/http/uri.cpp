#include "examples/http/uri.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstddef>

#include "examples/http/text.hpp"

namespace http {

namespace {

constexpr Bytes kScheme = set_of("+-.", kAlphanumeric);            // RFC 3986, 3.1
constexpr Bytes kName = set_of("-._~!$&'()*+,;=", kAlphanumeric);  // RFC 3986, 3.2.2, except what is percent-encoded

// The end of the name or IPv4 address at the beginning of a text.
std::size_t end_of_name(std::string_view text) {
  std::size_t at = run(text, 0, kName);
  while (text.size() - at >= 3 && text[at] == '%' && hex(text[at + 1]) >= 0 && hex(text[at + 2]) >= 0) {
    at = run(text, at + 3, kName);
  }
  return at;
}

// The same for an IPv6 address in brackets; 0 if it is not one.
std::size_t end_of_ipv6(std::string_view text) {
  const std::size_t end = text.find(']');
  std::array<char, INET6_ADDRSTRLEN> address{};  // zero-terminated
  if (end == std::string_view::npos || end > address.size()) return 0;
  text.copy(address.data(), end - 1, 1);
  in6_addr binary;
  return ::inet_pton(AF_INET6, address.data(), &binary) == 1 ? end + 1 : 0;
}

}  // namespace

bool is_authority(std::string_view text) {
  const std::size_t end = text.starts_with('[') ? end_of_ipv6(text) : end_of_name(text);
  return end == text.size() || (text[end] == ':' && run(text, end + 1, kDigit) == text.size());
}

bool is_target(std::string_view method, std::string_view target) {
  if (target.front() == '/') return true;
  if (target == "*") return method == "OPTIONS";
  const std::string_view scheme = cut(target, "://");
  const std::string_view authority = target.substr(0, target.find_first_of("/?"));
  return run(scheme, 0, kAlpha) > 0 && run(scheme, 0, kScheme) == scheme.size() && !authority.empty() &&
         authority.front() != ':' && is_authority(authority);
}

}  // namespace http
