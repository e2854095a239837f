#include "internal/net/address_hint.hpp"

#include <algorithm>

#include "internal/net/address_spec.hpp"

namespace evio::internal {
namespace {

constexpr auto kNone = std::string_view::npos;

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == kNone; }

bool is_path(std::string_view text) {
  if (text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with('@')) return true;
  return text.find(':') == kNone && (text.find('/') != kNone || text.ends_with(".sock"));
}

bool has_no_port(const AddressSpec& spec) {
  return spec.network == Network::kUnix || spec.source != AddressSpec::Source::kMade;
}

// "80", "host:80" or "/host:80" after a scheme of tcp or udp.
std::string host_and_port(const std::string& scheme, std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('/'), text.size()));
  return scheme + (is_number(text) ? "://:" : "://") + std::string(text);
}

// A URL: its host, and its port or 80.
std::string host_of_url(std::string_view text) {
  const std::string_view host = text.substr(0, text.find('/'));
  const std::size_t port = host.find(':', host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0);
  return "tcp://" + std::string(host) + (port == kNone ? ":80" : "");
}

std::string behind_scheme(std::string_view written, std::string_view text) {
  const std::string scheme = lower_case(written);
  if (scheme == "http" || scheme == "ws") return host_of_url(text);
  AddressSpec spec;
  if (!find_scheme(scheme, spec)) return {};
  if (has_no_port(spec)) return scheme + "://" + std::string(text);
  if (is_path(text)) return "unix://" + std::string(text);
  return host_and_port(scheme, text);
}

std::string without_scheme(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string scheme = lower_case(text.substr(0, colon));
  AddressSpec spec;
  if (colon != kNone && find_scheme(scheme, spec)) {
    const std::string_view rest = text.substr(colon + 1);
    return has_no_port(spec) ? scheme + "://" + std::string(rest) : host_and_port(scheme, rest);
  }
  if (is_path(text)) return "unix://" + std::string(text);
  return is_number(text) ? ':' + std::string(text) : std::string();
}

}  // namespace

std::string likely_address(std::string_view text) {
  const std::size_t query = std::min(text.find('?'), text.size());
  const std::string_view address = text.substr(0, query);
  const std::size_t separator = address.find("://");
  std::string likely = separator == kNone ? without_scheme(address)
                                          : behind_scheme(address.substr(0, separator), address.substr(separator + 3));
  if (!likely.empty()) likely += text.substr(query);
  return likely;
}

}  // namespace evio::internal
