#include "internal/server/peer_limit.hpp"

#include "internal/base/assert.hpp"
#include "internal/net/addr_access.hpp"

namespace evio::internal {

// False when the address has no IP.
bool PeerLimit::find_key(const Addr& peer, Key& key) noexcept {
  const auto bytes = AddrAccess::ip_bytes(peer);
  if (bytes.empty()) return false;
  key = {bytes.size() == 16, 0};
  for (const unsigned char byte : bytes.first(key.first ? 8 : 4)) key.second = key.second << 8 | byte;
  return true;
}

bool PeerLimit::add(const Addr& peer) {
  Key key;
  if (!is_set() || !find_key(peer, key)) return true;
  const std::lock_guard lock(mutex_);
  int& open = open_[key];
  if (open == most_) return false;
  ++open;
  return true;
}

void PeerLimit::remove(const Addr& peer) noexcept {
  Key key;
  if (!is_set() || !find_key(peer, key)) return;
  const std::lock_guard lock(mutex_);
  const auto at = open_.find(key);
  EVIO_ASSERT(at != open_.end());
  if (--at->second == 0) open_.erase(at);
}

}  // namespace evio::internal
