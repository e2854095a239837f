#include "internal/net/client_hello.hpp"

#include <algorithm>
#include <cstddef>

namespace evio::internal {
namespace {

// Those of RFC 8446 are sections 4 and 5.1, and of RFC 6066 section 3.
constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kMajorVersion = 3;  // of SSL 3.0 and every TLS
constexpr std::size_t kLongestRecord = 1 << 14;
constexpr std::uint8_t kClientHello = 1;
constexpr unsigned kServerName = 0;  // the extension
constexpr unsigned kHostName = 0;    // in it, the one kind of name that there is
constexpr std::size_t kLongestName = 255;

/// Reads the handshake messages that records carry, byte by byte: a message may be spread over many records.
/// Thread-safety: a plain value.
class Records {
 public:
  explicit Records(std::string_view bytes) noexcept : bytes_(bytes) {}

  /// kName: there is another byte.
  ClientHello next(std::uint8_t& byte) noexcept {
    if (left_ == 0) {
      if (const ClientHello state = read_header(); state != ClientHello::kName) return state;
    }
    if (bytes_.empty()) return ClientHello::kIncomplete;
    byte = take();
    --left_;
    return ClientHello::kName;
  }
  ClientHello skip(std::size_t n) noexcept {
    while (n != 0) {
      std::uint8_t ignored = 0;
      if (const ClientHello state = next(ignored); state != ClientHello::kName) return state;
      const std::size_t more = std::min({--n, left_, bytes_.size()});
      bytes_.remove_prefix(more);
      left_ -= more;
      n -= more;
    }
    return ClientHello::kName;
  }

 private:
  std::uint8_t take() noexcept {
    const auto byte = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte;
  }
  // Of the length, the first byte may tell already that it is too great. 5.1: a fragment of a handshake is not empty.
  ClientHello read_header() noexcept {
    const std::string_view header = bytes_.substr(0, 5);
    const auto at = [header](std::size_t i) { return static_cast<std::uint8_t>(header[i]); };
    if (!header.empty() && at(0) != kHandshakeRecord) return ClientHello::kNotTls;
    if (header.size() > 1 && at(1) != kMajorVersion) return ClientHello::kNotTls;
    std::size_t length = 0;
    if (header.size() > 3) length = static_cast<std::size_t>(at(3)) << 8;
    if (header.size() > 4) length += at(4);
    if (length > kLongestRecord || (header.size() == 5 && length == 0)) return ClientHello::kNotTls;
    if (header.size() < 5) return ClientHello::kIncomplete;
    bytes_.remove_prefix(header.size());
    left_ = length;
    return ClientHello::kName;
  }

  std::string_view bytes_;
  std::size_t left_ = 0;  // of the record
};

/// A part of a message whose bytes are all there. Reading beyond its end fails. Thread-safety: one thread.
class Part {
 public:
  Part(Records& records, std::size_t size) noexcept : records_(records), left_(size) {}

  bool empty() const noexcept { return left_ == 0; }
  std::size_t left() const noexcept { return left_; }
  /// Reads on from the same place.
  Part front(std::size_t size) noexcept { return {records_, size}; }
  bool skip(std::size_t n) noexcept {
    if (n > left_ || records_.skip(n) != ClientHello::kName) return false;
    left_ -= n;
    return true;
  }
  // A number of `bytes` bytes, the most significant one first.
  bool read(int bytes, unsigned& value) noexcept {
    value = 0;
    for (; bytes != 0; --bytes) {
      std::uint8_t byte = 0;
      if (left_ == 0 || records_.next(byte) != ClientHello::kName) return false;
      --left_;
      value = value << 8 | byte;
    }
    return true;
  }
  // What a length of `bytes` bytes stands before.
  bool skip_vector(int bytes) noexcept {
    unsigned size = 0;
    return read(bytes, size) && skip(size);
  }

 private:
  Records& records_;
  std::size_t left_;
};

// RFC 6066 allows a list with a name of each kind, but gives the length of no kind but host_name: it is the only one.
bool read_name(Part extension, std::string& name) {
  unsigned list = 0;
  unsigned kind = 0;
  unsigned size = 0;
  if (!extension.read(2, list) || list != extension.left() || !extension.read(1, kind) || kind != kHostName ||
      !extension.read(2, size) || size != extension.left() || size > kLongestName)
    return false;
  for (name.reserve(size); !extension.empty();) {
    unsigned c = 0;
    if (!extension.read(1, c) || c <= ' ' || c > '~') return false;  // it is shown in messages
    name.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
  }
  return true;
}

// False when it is malformed.
bool read_hello(Part hello, std::string& name) {
  constexpr std::size_t kVersionAndRandom = 2 + 32;
  // The session's name, cipher suites, compression methods.
  if (!hello.skip(kVersionAndRandom) || !hello.skip_vector(1) || !hello.skip_vector(2) || !hello.skip_vector(1))
    return false;
  unsigned extensions = 0;
  if (hello.empty()) return true;  // before TLS 1.3 there need not be any
  if (!hello.read(2, extensions) || extensions != hello.left()) return false;
  while (!hello.empty()) {
    unsigned type = 0;
    unsigned size = 0;
    if (!hello.read(2, type) || !hello.read(2, size) || size > hello.left()) return false;
    if (type == kServerName) return read_name(hello.front(size), name);
    if (!hello.skip(size)) return false;
  }
  return true;
}

}  // namespace

ClientHello find_server_name(std::string_view bytes, std::string& name) {
  Records records(bytes);
  std::uint8_t type = 0;
  if (const ClientHello state = records.next(type); state != ClientHello::kName) return state;
  if (type != kClientHello) return ClientHello::kNotTls;
  std::size_t size = 0;
  for (int i = 0; i != 3; ++i) {
    std::uint8_t byte = 0;
    if (const ClientHello state = records.next(byte); state != ClientHello::kName) return state;
    size = size << 8 | byte;
    if (i == 0 && size != 0) return ClientHello::kNotTls;  // 64 KiB or more: nobody sends so long a hello
  }
  Records message = records;
  if (const ClientHello state = records.skip(size); state != ClientHello::kName) return state;
  name.clear();
  if (!read_hello({message, size}, name)) name.clear();
  return ClientHello::kName;
}

}  // namespace evio::internal
