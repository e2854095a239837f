#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "evio/addr.hpp"
#include "evio/bytes.hpp"
#include "evio/detail/share_policy.hpp"

namespace evio {

namespace internal {
class Endpoint;
class EndpointAccess;

/// A value of a type only its owner knows: what a connection keeps for its user.
struct Context {
  virtual ~Context() = default;
  virtual void* value(const std::type_info& type) noexcept = 0;
};

template <class T>
struct ContextOf final : Context {
  explicit ContextOf(T value) : held(std::move(value)) {}
  void* value(const std::type_info& type) noexcept override { return type == typeid(T) ? &held : nullptr; }
  T held;
};
}  // namespace internal

/// A handle of one connection: small, copied freely, kept as long as you like, also in the connection's own context. It
/// keeps no descriptor open. Default constructed it is the handle of nothing, which is a connection already gone.
///
/// Thread-safety: wake(), send(), close() and the addresses, id() and loop_index() may be used from any thread at any
/// time, after serve() has returned too. The context belongs to the loop: touch it only in this connection's callbacks.
class Conn {
 public:
  Conn() noexcept = default;
  Conn(const Conn& other) noexcept : peer_(other.peer_) {
    if (peer_ != nullptr) retain(peer_);
  }
  Conn(Conn&& other) noexcept : peer_(std::exchange(other.peer_, nullptr)) {}
  Conn& operator=(Conn other) noexcept {
    std::swap(peer_, other.peer_);
    return *this;
  }
  ~Conn() {
    if (peer_ != nullptr) release(peer_);
  }

  /// The index, in the addresses given to serve(), of the one this connection came in by.
  int addr_index() const noexcept;
  /// This end's address: the connection's own, not the listener's. For a datagram, the address it was sent to.
  Addr local_addr() const;
  /// The other end's address.
  Addr remote_addr() const;
  /// A number no other connection of this server has; 0 for the handle of nothing.
  std::uint64_t id() const noexcept;
  /// The loop, 0 to num_loops - 1, on which all callbacks of this connection run.
  int loop_index() const noexcept;

  /// Keeps a value with the connection, in place of the one kept before, which is destroyed at once: not from within
  /// one of its own methods. The last one is destroyed on the loop's thread right after closed or detached returned. A
  /// connection that is gone, and a datagram, keep nothing.
  template <class T>
  void set_context(T value) const {
    keep(std::make_unique<internal::ContextOf<std::remove_cv_t<T>>>(std::move(value)));
  }
  /// The value kept; nullptr when there is none or it is of another type than exactly T.
  template <class T>
  T* context() const noexcept {
    return static_cast<T*>(kept(typeid(T)));
  }

  /// Has data called, with an empty `in`, at least once after this call, soon: also while output waits for a peer that
  /// does not read, which a wake does not wait for. Returns false when the connection is gone or closing. From any
  /// thread; runs no callback inline, so locks may be held.
  bool wake() const;  // NOLINT(modernize-use-nodiscard): may be ignored
  /// Adds x to what the connection sends, without calling data; there is no limit to what waits for a slow peer. All
  /// calls for one connection have one order, also those of different threads: what was sent before another call began
  /// leaves before what that one sends, and before what a callback returns that is called later. In one of the loop's
  /// own callbacks x leaves before what that callback returns. Returns false, and sends nothing, when the connection is
  /// gone or closing, or there is no memory for x. For a datagram's Conn: sends one datagram to that peer at once;
  /// false when it could not be sent, and once the server has begun to shut down. From any thread; runs no callback
  /// inline, so locks may be held.
  bool send(std::string_view x) const { return send_text(x); }
  bool send(const char* x) const { return send_text(internal::text_of(x)); }
  bool send(const std::string& x) const { return send_text(x); }
  bool send(std::string&& x) const {
    return x.size() < internal::kShareInRequest ? send_text(x) : send_string(std::move(x));
  }
  bool send(const Bytes& x) const { return send_bytes(Bytes(x)); }
  bool send(Bytes&& x) const { return send_bytes(std::move(x)); }
  /// Closes the connection once all its output was sent, as Action::Close does, for which a peer that does not read can
  /// have it wait; no data is called any more. Returns false when it is gone or closing already. From any thread; runs
  /// no callback inline, so locks may be held.
  bool close() const;

  /// The same connection.
  friend bool operator==(const Conn& a, const Conn& b) noexcept { return a.peer_ == b.peer_; }
  /// An order for maps and sets: by id within one server.
  friend std::strong_ordering operator<=>(const Conn& a, const Conn& b) noexcept;

 private:
  friend class internal::EndpointAccess;
  friend struct std::hash<Conn>;

  static void retain(internal::Endpoint* peer) noexcept;
  static void release(internal::Endpoint* peer) noexcept;
  void keep(std::unique_ptr<internal::Context> context) const;
  void* kept(const std::type_info& type) const noexcept;
  bool send_text(std::string_view x) const;
  bool send_bytes(Bytes x) const;
  bool send_string(std::string&& x) const;

  internal::Endpoint* peer_ = nullptr;
};

}  // namespace evio

template <>
struct std::hash<evio::Conn> {
  std::size_t operator()(const evio::Conn& conn) const noexcept {
    return std::hash<const void*>()(static_cast<const void*>(conn.peer_));
  }
};
