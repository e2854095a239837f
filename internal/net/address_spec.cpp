#include "internal/net/address_spec.hpp"

#include <charconv>
#include <optional>
#include <utility>

#include "internal/base/resource_limit.hpp"
#include "internal/net/address_hint.hpp"

namespace evio::internal {
namespace {

struct Scheme {
  std::string_view name;
  Network network;
  AddressSpec::Family family;
  AddressSpec::Source source = AddressSpec::Source::kMade;
  bool tls = false;
};

constexpr Scheme kSchemes[] = {
    {"tcp", Network::kTcp, AddressSpec::Family::kBoth},
    {"tcp4", Network::kTcp, AddressSpec::Family::kV4},
    {"tcp6", Network::kTcp, AddressSpec::Family::kV6},
    {"tls", Network::kTcp, AddressSpec::Family::kBoth, AddressSpec::Source::kMade, true},
    {"tls4", Network::kTcp, AddressSpec::Family::kV4, AddressSpec::Source::kMade, true},
    {"tls6", Network::kTcp, AddressSpec::Family::kV6, AddressSpec::Source::kMade, true},
    {"udp", Network::kUdp, AddressSpec::Family::kBoth},
    {"udp4", Network::kUdp, AddressSpec::Family::kV4},
    {"udp6", Network::kUdp, AddressSpec::Family::kV6},
    {"unix", Network::kUnix, AddressSpec::Family::kBoth},
    // For these, the socket itself tells its kind.
    {"fd", Network::kTcp, AddressSpec::Family::kBoth, AddressSpec::Source::kDescriptor},
    {"systemd", Network::kTcp, AddressSpec::Family::kBoth, AddressSpec::Source::kSystemd},
};

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

Error invalid(const AddressSpec& spec, std::string_view what) {
  return address_error(spec, std::make_error_code(std::errc::invalid_argument), what);
}

Error parse_proxy(std::string_view versions, AddressSpec& spec) {
  if (spec.network == Network::kUdp) return invalid(spec, "proxy is not for udp sockets");
  if (versions == "v1") {
    spec.proxy = ProxyVersions::kV1;
  } else if (versions == "v2") {
    spec.proxy = ProxyVersions::kV2;
  } else if (versions == "any") {
    spec.proxy = ProxyVersions::kAny;
  } else {
    return invalid(spec, "bad proxy " + quoted(versions) + ": v1, v2 or any is needed");
  }
  return {};
}

// Parses all of `text` as a number without a sign.
std::optional<int> parse_number(std::string_view text, int base) {
  int number = 0;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (err != std::errc() || end != text.data() + text.size() || text.front() == '-') return {};
  return number;
}

// For options that apply only to sockets made here.
Error refuse_if_given(std::string_view option, const AddressSpec& spec) {
  if (spec.source == AddressSpec::Source::kMade) return {};
  return invalid(spec, std::string(option) + " is not for a socket that was given");
}

Error parse_reuse_port(std::string_view value, AddressSpec& spec) {
  if (auto err = refuse_if_given("reuseport", spec)) return err;
  constexpr std::string_view kTrue = "123456789tTyY";
  spec.reuse_port = !value.empty() && kTrue.find(value.front()) != std::string_view::npos;
  if (spec.reuse_port && spec.network == Network::kUnix) return invalid(spec, "reuseport is not for unix sockets");
  return {};
}

Error parse_backlog(std::string_view value, AddressSpec& spec) {
  if (auto err = refuse_if_given("backlog", spec)) return err;
  if (spec.network == Network::kUdp) return invalid(spec, "backlog is not for udp");
  const auto number = parse_number(value, 10);
  if (!number || *number < 1) return invalid(spec, "bad backlog " + quoted(value) + ": a number above 0 is needed");
  spec.backlog = *number;
  return {};
}

Error parse_mode(std::string_view value, AddressSpec& spec) {
  if (auto err = refuse_if_given("mode", spec)) return err;
  if (spec.network != Network::kUnix || spec.path.starts_with('@'))
    return invalid(spec, "mode is for the path of a unix socket");
  const auto number = parse_number(value, 8);
  if (!number || *number > 0777)
    return invalid(spec, "bad mode " + quoted(value) + ": an octal number up to 0777 is needed");
  spec.mode = *number;
  return {};
}

struct Option {
  std::string_view name;
  Error (*parse)(std::string_view value, AddressSpec& spec);
};

constexpr Option kOptions[] = {
    {"reuseport", parse_reuse_port}, {"backlog", parse_backlog}, {"mode", parse_mode}, {"proxy", parse_proxy}};

Error parse_option(std::string_view option, AddressSpec& spec) {
  const std::size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  for (const Option& known : kOptions) {
    if (known.name != name) continue;
    if (equals == std::string_view::npos) return invalid(spec, "option " + quoted(name) + " has no value");
    return known.parse(option.substr(equals + 1), spec);
  }
  return invalid(spec, "unknown option " + quoted(name));
}

Error parse_options(std::string_view options, AddressSpec& spec) {
  while (!options.empty()) {
    const std::size_t end = options.find('&');
    if (auto err = parse_option(options.substr(0, end), spec)) return err;
    if (end == std::string_view::npos) break;
    options.remove_prefix(end + 1);
  }
  return {};
}

Error parse_port(std::string_view port, AddressSpec& spec) {
  if (port.empty()) return {};  // any
  const auto [end, err] = std::from_chars(port.data(), port.data() + port.size(), spec.port);
  if (err != std::errc() || end != port.data() + port.size())
    return invalid(spec, "bad port " + quoted(port) + ": a number from 0 to 65535 is needed");
  return {};
}

Error parse_host_port(std::string_view address, AddressSpec& spec) {
  if (address.empty()) {
    // "tcp://" is any port of every address. Without even that it was left out, by an unset variable as a rule, and
    // nobody asked for an open port.
    return spec.text.find("://") == std::string::npos ? invalid(spec, "the address is empty") : Error();
  }
  if (address.find('\0') != std::string_view::npos) return invalid(spec, "the host has a NUL byte");
  std::string_view rest = address;
  if (address.front() == '[') {
    const std::size_t close = address.find(']');
    if (close == std::string_view::npos) return invalid(spec, "missing ']' in " + quoted(address));
    spec.host = address.substr(1, close - 1);
    rest = address.substr(close + 1);
    if (spec.host == "*") return invalid(spec, "\"[*]\" is no IPv6 address: write *:port");
    if (!rest.empty() && rest.front() != ':') return invalid(spec, "junk after ']' in " + quoted(address));
  } else {
    const std::size_t colon = address.find(':');
    if (colon != address.rfind(':'))
      return invalid(spec, "too many colons in " + quoted(address) + ": write [v6]:port");
    spec.host = address.substr(0, colon);
    if (spec.host == "*") spec.host.clear();
    rest = colon == std::string_view::npos ? std::string_view() : address.substr(colon);
  }
  if (rest.empty()) return invalid(spec, "missing port in " + quoted(address));
  return parse_port(rest.substr(1), spec);
}

Error parse_path(std::string_view path, AddressSpec& spec) {
  if (path.empty()) return invalid(spec, "missing path");
  if (path.find('\0') != std::string_view::npos) return invalid(spec, "the path has a NUL byte");
  if (path.size() > SocketAddress::kLongestPath)
    return address_error(spec, std::make_error_code(std::errc::filename_too_long),
                         "the path is longer than the " + std::to_string(SocketAddress::kLongestPath) +
                             " bytes a socket's path may have");
  spec.path = path;
  return {};
}

Error parse_descriptor(std::string_view text, AddressSpec& spec) {
  const auto number = parse_number(text, 10);
  if (!number) return invalid(spec, "bad descriptor " + quoted(text) + ": a number is needed");
  spec.descriptor = *number;
  return {};
}

Error parse_target(std::string_view address, AddressSpec& spec) {
  switch (spec.source) {
    case AddressSpec::Source::kDescriptor:
      return parse_descriptor(address, spec);
    case AddressSpec::Source::kSystemd:
      spec.name = address;
      return {};
    case AddressSpec::Source::kMade:
      break;
  }
  return spec.network == Network::kUnix ? parse_path(address, spec) : parse_host_port(address, spec);
}

Error read_address(std::string_view text, AddressSpec& spec) {
  const std::string_view purpose = spec.purpose;
  spec = {};
  spec.text = text;
  spec.purpose = purpose;
  std::string_view address = text;
  if (const std::size_t end = text.find("://"); end != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, end);
    if (!find_scheme(scheme, spec)) return invalid(spec, "unknown scheme " + quoted(scheme));
    address = text.substr(end + 3);
  }
  // Options come last: which ones are allowed depends on the rest.
  const std::size_t query = address.find('?');
  if (auto err = parse_target(address.substr(0, query), spec)) return err;
  return query == std::string_view::npos ? Error() : parse_options(address.substr(query + 1), spec);
}

}  // namespace

Error address_error(const AddressSpec& spec, std::error_code code, std::string_view what) {
  return Error(code,
               std::string(spec.purpose) + ' ' + (spec.text.empty() ? "\"\"" : spec.text) + ": " + std::string(what));
}

Error call_error(const AddressSpec& spec, std::error_code code, std::string_view call) {
  return address_error(spec, code, std::string(call) + ": " + code.message() + limit_of_descriptors(code));
}

bool find_scheme(std::string_view name, AddressSpec& spec) {
  constexpr std::string_view kPortable = "-net";
  const bool portable = name.ends_with(kPortable);
  if (portable) name.remove_suffix(kPortable.size());
  for (const Scheme& known : kSchemes) {
    if (known.name != name || (portable && known.source != AddressSpec::Source::kMade)) continue;
    spec.network = known.network;
    spec.family = known.family;
    spec.source = known.source;
    spec.portable = portable;
    spec.tls = known.tls;
    return true;
  }
  return false;
}

Error with_likely_address(Error err, std::string_view text) {
  const std::string likely = likely_address(text);
  AddressSpec spec;
  if (likely.empty() || read_address(likely, spec)) return err;
  return Error(err.code(), err.message() + "; did you mean " + quoted(likely) + '?');
}

Error parse_address(std::string_view text, AddressSpec& spec) {
  Error err = read_address(text, spec);
  return err ? with_likely_address(std::move(err), text) : err;
}

Error parse_peer_address(std::string_view text, AddressSpec& spec) {
  spec.purpose = "dial";
  if (Error err = parse_address(text, spec)) return err;
  if (spec.source != AddressSpec::Source::kMade) return invalid(spec, "fd and systemd are for serve()");
  if (spec.portable) return invalid(spec, "a scheme that ends in -net is for serve()");
  if (text.find('?') != std::string_view::npos) return invalid(spec, "an address to connect to has no options");
  if (spec.network != Network::kUnix && spec.port == 0) return invalid(spec, "a port from 1 to 65535 is needed");
  return {};
}

}  // namespace evio::internal
