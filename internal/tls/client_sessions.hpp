#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "internal/tls/openssl.hpp"

namespace evio::internal {

/// Sessions that the dials of one context can resume, by the name that was dialed. The names that were dialed last are
/// kept. Thread-safety: any thread.
class ClientSessions {
 public:
  static constexpr std::size_t kNames = 256;
  /// A TLS 1.3 server sends two, and each is used once (RFC 8446, C.4); those of dials that went on at the same time
  /// add up.
  static constexpr std::size_t kForAName = 4;

  /// If there is no memory, it is forgotten.
  void add(std::string_view name, OpensslPtr<SSL_SESSION> session) noexcept;
  /// The newest one. nullptr: there is none.
  OpensslPtr<SSL_SESSION> take(std::string_view name);
  std::size_t names() noexcept {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    std::string name;
    std::list<OpensslPtr<SSL_SESSION>> sessions;  // the newest one first
  };
  using Entries = std::list<Entry>;

  void insert(std::string_view name, OpensslPtr<SSL_SESSION> session);

  std::mutex mutex_;
  Entries entries_;  // the one used last first
  std::unordered_map<std::string_view, Entries::iterator> by_name_;
};

/// Whether what was found out about the peer of a session is still so: it is not too old, and neither is the peer's
/// certificate.
bool still_holds(const SSL_SESSION* session) noexcept;

}  // namespace evio::internal
