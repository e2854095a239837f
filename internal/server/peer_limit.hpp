#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "evio/addr.hpp"

namespace evio::internal {

/// How many accepted connections one peer may have open at once: one IPv4 address, or one /64 of IPv6, which is what a
/// single host is given (RFC 6177). Addresses without an IP, those of unix sockets, are not counted.
/// Thread-safety: any thread.
class PeerLimit {
 public:
  /// 0 or less: any number.
  explicit PeerLimit(int most) noexcept : most_(most) {}

  bool is_set() const noexcept { return most_ > 0; }

  /// Counts a connection of this peer until remove(). False, and it is not counted, when the peer has as many as it
  /// may. Throws std::bad_alloc.
  bool add(const Addr& peer);
  void remove(const Addr& peer) noexcept;
  /// How many peers have connections.
  std::size_t peers() noexcept {
    const std::lock_guard lock(mutex_);
    return open_.size();
  }

 private:
  using Key = std::pair<bool, std::uint64_t>;  // is IPv6; the address, or its /64

  static bool find_key(const Addr& peer, Key& key) noexcept;

  const int most_;
  std::mutex mutex_;
  std::map<Key, int> open_;  // of peers that have some; a tree, as those peers choose the keys
};

}  // namespace evio::internal
