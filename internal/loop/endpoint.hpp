#pragma once

#include <memory>
#include <utility>

#include "evio/conn.hpp"
#include "evio/detail/ref_counted.hpp"
#include "internal/loop/note_queue.hpp"

namespace evio::internal {

/// What a Conn is a handle of: a connection, or the sender of one datagram.
/// Thread-safety: what was fixed at its making, and wake(), send() and close(), any thread; the context, its loop's
/// thread.
class Endpoint : public RefCounted {
 public:
  virtual bool wake() = 0;
  /// Takes the bytes over.
  virtual bool send(Bytes bytes) = 0;
  /// Copies the text.
  virtual bool send_text(std::string_view text) = 0;
  virtual bool close() = 0;
  virtual void keep(std::unique_ptr<Context> context) = 0;
  void* kept(const TypeId& type) const noexcept { return context_ ? context_->find(type) : nullptr; }

  std::uint64_t id() const noexcept { return id_; }
  int addr_index() const noexcept { return addr_index_; }
  int loop_index() const noexcept { return queue_->loop_index(); }
  const Addr& local() const noexcept { return local_; }
  const Addr& remote() const noexcept { return remote_; }

 protected:
  Endpoint(std::uint64_t id, RefPtr<NoteQueue> queue, int addr_index, Addr local, Addr remote)
      : addr_index_(addr_index),
        id_(id),
        queue_(std::move(queue)),
        local_(std::move(local)),
        remote_(std::move(remote)) {}

  /// Becomes another peer: only while no one else holds this one.
  void renew(std::uint64_t id, Addr local, Addr remote) noexcept {
    id_ = id;
    local_ = std::move(local);
    remote_ = std::move(remote);
  }

  NoteQueue& queue() const noexcept { return *queue_; }
  std::unique_ptr<Context>& context() noexcept { return context_; }

 private:
  int addr_index_;  // first, beside the count: there is room
  std::uint64_t id_;
  RefPtr<NoteQueue> queue_;
  std::unique_ptr<Context> context_;
  Addr local_;
  Addr remote_;
};

/// Goes from a handle to what it is a handle of, and back.
class EndpointAccess {
 public:
  /// Takes over the hold the peer was born with.
  static Conn adopt(Endpoint* peer) noexcept {
    Conn conn;
    conn.peer_ = peer;
    return conn;
  }
  static Conn handle(Endpoint* peer) noexcept {
    peer->retain();
    return adopt(peer);
  }
  /// The handle's hold, which is the caller's from now on.
  static Endpoint* release(Conn& conn) noexcept { return std::exchange(conn.peer_, nullptr); }
  static Endpoint* peer(const Conn& conn) noexcept { return conn.peer_; }
};

}  // namespace evio::internal
