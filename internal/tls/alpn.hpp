#pragma once

#include <span>
#include <string>
#include <vector>

#include "evio/error.hpp"
#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// Application protocols as they are sent (RFC 7301, 3.1): each after a byte with its length. Thread-safety: a value.
class Alpn {
 public:
  /// A name that is empty, or of more than 255 bytes, is an Error. Throws std::bad_alloc.
  Error assign(std::span<const std::string> protocols);

  bool empty() const noexcept { return wire_.empty(); }
  const std::vector<unsigned char>& wire() const noexcept { return wire_; }
  bool contains(std::span<const unsigned char> protocol) const noexcept;
  /// The first of these that is among the client's, whose wire form that is. Empty: none is.
  std::span<const unsigned char> choose(std::span<const unsigned char> of_client) const noexcept;

 private:
  std::vector<unsigned char> wire_;
};

}  // namespace evio::internal
