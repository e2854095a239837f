#include "internal/tls/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <new>
#include <utility>

namespace evio::internal {

namespace {

template <std::size_t N>
bool fill(std::array<unsigned char, N>& bytes) {
  return RAND_bytes(bytes.data(), static_cast<int>(N)) == 1;
}

}  // namespace

TicketKey::~TicketKey() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

std::optional<TicketKey> TicketKeyRing::newest(Clock::time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  if (keys_.empty() || now - keys_.back().made >= kRenewal) {
    std::erase_if(keys_, [&](const TicketKey& key) { return now - key.made >= kRenewal + kLifetime; });
    TicketKey key;
    key.made = now;
    if (!fill(key.name) || !fill(key.cipher) || !fill(key.mac)) return std::nullopt;
    keys_.push_back(key);  // there is room: two at most are younger than kRenewal + kLifetime
  }
  last_use_ = now;
  return keys_.back();
}

std::optional<TicketKey> TicketKeyRing::find(TicketKey::Name name, Clock::time_point now) const noexcept {
  const std::lock_guard lock(mutex_);
  for (const TicketKey& key : keys_) {
    if (!std::ranges::equal(key.name, name) || now - key.made >= kRenewal + kLifetime) continue;
    std::optional<TicketKey> found = key;
    found->newest = &key == &keys_.back();
    return found;
  }
  return std::nullopt;
}

void TicketKeyRing::retire() noexcept {
  const std::lock_guard lock(mutex_);
  retired_ = true;
}

bool TicketKeyRing::is_over(Clock::time_point now) const noexcept {
  const std::lock_guard lock(mutex_);
  return retired_ && now - last_use_ >= kLifetime;
}

TicketKeys::TicketKeys(Authorities authorities, const TicketKeys* previous, Clock::time_point now)
    : own_{std::make_shared<TicketKeyRing>(now), std::make_shared<const Authorities>(std::move(authorities))} {
  if (previous == nullptr) return;
  earlier_.push_back(previous->own_);
  // A server that renews its certificate every night for years must not keep all of that.
  for (const Context& context : previous->earlier_) {
    if (!context.ring->is_over(now)) earlier_.push_back(context);
  }
}

std::optional<TicketKey> TicketKeys::find(TicketKey::Name name, Clock::time_point now) const noexcept {
  if (auto own = own_.ring->find(name, now)) return own;
  for (const Context& context : earlier_) {
    if (!accepts(context)) continue;
    auto found = context.ring->find(name, now);
    if (!found) continue;
    found->newest = false;
    return found;
  }
  return std::nullopt;
}

// A client that some authorities vouch for is one that all of these would vouch for too, if those are among them. One
// that was not asked for a certificate is to be asked now.
bool TicketKeys::accepts(const Context& earlier) const noexcept {
  if (own_.authorities->empty()) return true;
  return !earlier.authorities->empty() && std::ranges::includes(*own_.authorities, *earlier.authorities);
}

}  // namespace evio::internal
