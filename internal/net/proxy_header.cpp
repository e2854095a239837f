#include "internal/net/proxy_header.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace evio::internal {
namespace {

// The section numbers are proxy-protocol.txt's.
// 2.1: the longest line that a receiver has to take, with its CRLF.
constexpr std::size_t kLongestLine = 107;
// 2.2: what begins a header of version 2. Version and command follow, family and transport, and how many bytes come.
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
// The length has 16 bits; no proxy sends so many TLVs, and a connection has to keep what it has of its header.
constexpr std::size_t kLongestRest = 4096;

/// Reads a header from its front. Thread-safety: one thread.
class HeaderText {
 public:
  HeaderText(std::string_view text, std::string_view& why) noexcept : left_(text), why_(why) {}

  std::string_view left() const noexcept { return left_; }
  std::size_t taken() const noexcept { return taken_; }
  std::string_view take(std::size_t n) noexcept {
    const std::string_view front = left_.substr(0, n);
    left_.remove_prefix(front.size());
    taken_ += front.size();
    return front;
  }
  ProxyState literal(std::string_view expected, std::string_view problem) noexcept {
    const std::string_view front = left_.substr(0, expected.size());
    if (!expected.starts_with(front)) return bad(problem);
    if (front.size() != expected.size()) return ProxyState::kIncomplete;
    take(front.size());
    return ProxyState::kComplete;
  }
  ProxyState bad(std::string_view problem) noexcept {
    why_ = problem;
    return ProxyState::kBad;
  }

 private:
  std::string_view left_;
  std::size_t taken_ = 0;
  std::string_view& why_;
};

bool read_ip(std::string_view text, std::string_view end, SocketAddress& address) noexcept {
  std::array<char, INET6_ADDRSTRLEN + 8> whole;
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return false;
  char* const last = std::copy(end.begin(), end.end(), std::copy(text.begin(), text.end(), whole.begin()));
  *last = '\0';
  void* const ip = address.family() == AF_INET6 ? static_cast<void*>(&address.v6.sin6_addr) : &address.v4.sin_addr;
  return ::inet_pton(address.family(), whole.data(), ip) == 1;
}

// How many bytes are missing from an address that has begun; -1: it cannot become one. inet_pton(3) refuses leading
// zeros, as 2.1 demands. Any beginning of an address can be completed by one of these, the shortest first.
int missing_of_ip(std::string_view text, int family) noexcept {
  SocketAddress ignored;
  ignored.any.sa_family = static_cast<sa_family_t>(family);
  for (const std::string_view end : {"", "0", ":", "::", ".0", "0.0", ".0.0", "0.0.0", ".0.0.0", "0.0.0.0"}) {
    if (read_ip(text, end, ignored)) return static_cast<int>(end.size());
  }
  return -1;
}

bool read_port(std::string_view text, in_port_t& port) noexcept {
  std::uint16_t number = 0;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (err != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text.front() == '0')) return false;
  port = htons(number);
  return true;
}

int missing_of_port(std::string_view text) noexcept {
  in_port_t ignored = 0;
  if (text.empty()) return 1;
  return read_port(text, ignored) ? 0 : -1;
}

struct Field {
  char end;
  bool is_port;
  std::string_view problem;
};
// 2.1: what stands behind the protocol.
constexpr std::array<Field, 4> kFields{{{' ', false, "bad source address"},
                                        {' ', false, "bad destination address"},
                                        {' ', true, "bad source port"},
                                        {'\r', true, "bad destination port"}}};

// So many bytes follow field i at least: what ends it, the fields behind it with their ends, and the line feed.
std::size_t least_behind(std::size_t i, int family) noexcept {
  const std::size_t shortest_ip = family == AF_INET6 ? 2 : 7;  // "::", "0.0.0.0"
  std::size_t bytes = 2;
  for (++i; i != kFields.size(); ++i) bytes += (kFields[i].is_port ? 1 : shortest_ip) + 1;
  return bytes;
}

SocketAddress& end_of(ProxyHeader& header, std::size_t field) noexcept {
  return field % 2 == 0 ? header.source : header.destination;
}

void prepare(ProxyHeader& header, int family) noexcept {
  for (SocketAddress* const end : {&header.source, &header.destination}) {
    end->v6 = {};
    end->any.sa_family = static_cast<sa_family_t>(family);
    end->size = family == AF_INET6 ? sizeof end->v6 : sizeof end->v4;
  }
  header.has_addresses = true;
}

in_port_t& port_of(SocketAddress& address) noexcept {
  return address.family() == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port;
}

ProxyState read_fields(HeaderText& text, int family, ProxyHeader& header) noexcept {
  prepare(header, family);
  for (std::size_t i = 0; i != kFields.size(); ++i) {
    const Field& field = kFields[i];
    const std::size_t size = text.left().find(field.end);
    const bool ended = size != std::string_view::npos;
    const std::string_view value = text.left().substr(0, size);
    const int missing = field.is_port ? missing_of_port(value) : missing_of_ip(value, family);
    if (missing < 0 || (ended && missing != 0)) return text.bad(field.problem);
    if (text.taken() + value.size() + static_cast<std::size_t>(missing) + least_behind(i, family) > kLongestLine)
      return text.bad("line too long");
    if (!ended) return ProxyState::kIncomplete;
    if (field.is_port) {
      read_port(value, port_of(end_of(header, i)));
    } else {
      read_ip(value, "", end_of(header, i));
    }
    text.take(value.size() + 1);
  }
  return text.literal("\n", "bad end of line");
}

// 2.1: whatever else the line holds is ignored.
ProxyState skip_line(HeaderText& text) noexcept {
  if (text.left().starts_with('\r')) return text.literal("\r\n", "bad end of line");
  if (const ProxyState state = text.literal(" ", "unknown protocol"); state != ProxyState::kComplete) return state;
  const std::size_t end = text.left().find("\r\n");
  if (end != std::string_view::npos) {
    text.take(end + 2);
    return ProxyState::kComplete;
  }
  const std::size_t missing = text.left().ends_with('\r') ? 1 : 2;
  if (text.taken() + text.left().size() + missing > kLongestLine) return text.bad("line too long");
  return ProxyState::kIncomplete;
}

ProxyState read_protocol(HeaderText& text, int& family) noexcept {
  if (const ProxyState state = text.literal("TCP", "unknown protocol"); state != ProxyState::kComplete) return state;
  const std::string_view version = text.take(1);
  if (version.empty()) return ProxyState::kIncomplete;
  if (version != "4" && version != "6") return text.bad("unknown protocol");
  family = version == "4" ? AF_INET : AF_INET6;
  return text.literal(" ", "unknown protocol");
}

ProxyState parse_v1(HeaderText text, ProxyHeader& header) noexcept {
  ProxyState state = text.literal("PROXY ", "bad signature");
  if (state != ProxyState::kComplete) return state;
  if (text.left().starts_with('U')) {
    state = text.literal("UNKNOWN", "unknown protocol");
    if (state == ProxyState::kComplete) state = skip_line(text);
  } else {
    int family = AF_UNSPEC;
    state = read_protocol(text, family);
    if (state == ProxyState::kComplete) state = read_fields(text, family, header);
  }
  if (state == ProxyState::kComplete) header.size = text.taken();
  return state;
}

// 2.2: the command, of two, and what is forwarded.
struct Kind {
  bool is_local = false;
  unsigned family = 0;
  unsigned transport = 0;
};
constexpr unsigned kInet = 1;
constexpr unsigned kInet6 = 2;
constexpr unsigned kUnix = 3;
constexpr unsigned kStream = 1;
constexpr unsigned kDatagram = 2;

unsigned byte_at(std::string_view bytes, std::size_t i) noexcept { return static_cast<unsigned char>(bytes[i]); }

ProxyState read_kind(HeaderText& text, Kind& kind) noexcept {
  const std::string_view bytes = text.take(2);
  if (bytes.empty()) return ProxyState::kIncomplete;
  if (byte_at(bytes, 0) >> 4 != 2) return text.bad("unknown version");
  const unsigned command = byte_at(bytes, 0) & 15;
  if (command > 1) return text.bad("unknown command");
  kind.is_local = command == 0;
  if (bytes.size() == 1) return ProxyState::kIncomplete;
  if (kind.is_local) return ProxyState::kComplete;  // 2.2: its family is ignored
  kind.family = byte_at(bytes, 1) >> 4;
  kind.transport = byte_at(bytes, 1) & 15;
  if (kind.family > kUnix) return text.bad("unknown family");
  if (kind.transport > kDatagram) return text.bad("unknown transport");
  return ProxyState::kComplete;
}

std::size_t size_of_addresses(const Kind& kind) noexcept {
  constexpr std::size_t kSizes[] = {0, 12, 36, 216};
  return kSizes[kind.family];
}

ProxyState read_length(HeaderText& text, const Kind& kind, std::size_t& length) noexcept {
  const std::string_view bytes = text.take(2);
  if (bytes.empty()) return ProxyState::kIncomplete;
  length = byte_at(bytes, 0) << 8;
  if (bytes.size() == 2) length += byte_at(bytes, 1);
  if (length > kLongestRest) return text.bad("header too long");
  if (bytes.size() == 1) return ProxyState::kIncomplete;
  if (length < size_of_addresses(kind)) return text.bad("no room for the addresses");
  return ProxyState::kComplete;
}

// Both addresses, then both ports, in network byte order.
void read_binary(std::string_view rest, int family, ProxyHeader& header) noexcept {
  prepare(header, family);
  const auto copy = [&rest](auto& to) {
    std::memcpy(&to, rest.data(), sizeof to);
    rest.remove_prefix(sizeof to);
  };
  for (std::size_t i = 0; i != 2; ++i) {
    SocketAddress& end = end_of(header, i);
    family == AF_INET6 ? copy(end.v6.sin6_addr) : copy(end.v4.sin_addr);
  }
  for (std::size_t i = 0; i != 2; ++i) copy(port_of(end_of(header, i)));
}

ProxyState parse_v2(HeaderText text, ProxyHeader& header) noexcept {
  Kind kind;
  std::size_t length = 0;
  ProxyState state = text.literal(kSignature, "bad signature");
  if (state == ProxyState::kComplete) state = read_kind(text, kind);
  if (state == ProxyState::kComplete) state = read_length(text, kind, length);
  if (state != ProxyState::kComplete) return state;
  const std::string_view rest = text.take(length);
  if (rest.size() != length) return ProxyState::kIncomplete;
  header.size = text.taken();
  if (kind.transport == kStream && kind.family == kInet) read_binary(rest, AF_INET, header);
  if (kind.transport == kStream && kind.family == kInet6) read_binary(rest, AF_INET6, header);
  return ProxyState::kComplete;
}

}  // namespace

ProxyState parse_proxy_header(std::string_view bytes, ProxyVersions accepted, ProxyHeader& header,
                              std::string_view& why) noexcept {
  header = {};
  if (bytes.empty()) return ProxyState::kIncomplete;
  const bool is_v2 =
      accepted == ProxyVersions::kAny ? bytes.front() == kSignature.front() : accepted == ProxyVersions::kV2;
  const ProxyState state =
      is_v2 ? parse_v2({bytes, why}, header) : parse_v1({bytes.substr(0, kLongestLine), why}, header);
  if (state != ProxyState::kComplete) header.has_addresses = false;
  return state;
}

}  // namespace evio::internal
