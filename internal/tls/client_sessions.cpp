#include "internal/tls/client_sessions.hpp"

#include <ctime>
#include <new>
#include <utility>

namespace evio::internal {

void ClientSessions::add(std::string_view name, OpensslPtr<SSL_SESSION> session) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    insert(name, std::move(session));
  } catch (const std::bad_alloc&) {  // the next dial makes a full handshake
  }
}

void ClientSessions::insert(std::string_view name, OpensslPtr<SSL_SESSION> session) {
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) {
    Entries made;
    made.push_back({std::string(name), {}});
    by_name_.emplace(made.front().name, made.begin());
    entries_.splice(entries_.begin(), made);
  } else {
    entries_.splice(entries_.begin(), entries_, known->second);
  }
  auto& sessions = entries_.front().sessions;
  sessions.push_front(std::move(session));
  if (sessions.size() > kForAName) sessions.pop_back();
  if (entries_.size() <= kNames) return;
  by_name_.erase(entries_.back().name);
  entries_.pop_back();
}

OpensslPtr<SSL_SESSION> ClientSessions::take(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) return nullptr;
  auto& sessions = known->second->sessions;
  while (!sessions.empty()) {
    SSL_SESSION* session = sessions.front().get();
    const bool usable = SSL_SESSION_is_resumable(session) == 1 && still_holds(session);
    // Before TLS 1.3 a session is no ticket for one use.
    if (usable && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
      SSL_SESSION_up_ref(session);
      return OpensslPtr<SSL_SESSION>(session);
    }
    OpensslPtr<SSL_SESSION> taken = std::move(sessions.front());
    sessions.pop_front();
    if (usable) return taken;
  }
  return nullptr;
}

bool still_holds(const SSL_SESSION* session) noexcept {
  const std::time_t now = std::time(nullptr);
  if (now - SSL_SESSION_get_time(session) >= SSL_SESSION_get_timeout(session)) return false;
  // It is const in OpenSSL 3.2 only.
  const X509* peer = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  return peer == nullptr || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

}  // namespace evio::internal
