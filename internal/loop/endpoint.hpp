#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "evio/conn.hpp"
#include "evio/detail/ref_counted.hpp"
#include "evio/detail/task.hpp"
#include "internal/base/intrusive_list.hpp"
#include "internal/loop/note_queue.hpp"

namespace evio::internal {

class TimedTask;

/// What a Conn refers to: a connection, or the sender of one datagram. It belongs to one loop.
/// Thread-safety: the virtual functions, but those that say otherwise, and what the constructor has fixed, any thread;
/// the rest its loop's thread.
class Endpoint : public NoteTarget {
 public:
  virtual bool wake() = 0;
  virtual bool send(Bytes bytes) = 0;
  virtual bool send_copy(std::string_view bytes) = 0;
  virtual bool close() = 0;

  // What only a connection can do.
  virtual bool abort() { return false; }
  virtual bool pause() { return false; }
  virtual bool resume() { return false; }
  virtual bool close_write() { return false; }
  virtual bool post(std::unique_ptr<ConnTask>) { return false; }
  virtual RefPtr<TimedTask> post_after(std::chrono::nanoseconds, TimedPtr<ConnTask>);
  virtual bool expires_after(std::chrono::nanoseconds) { return false; }
  virtual std::size_t pending_bytes() const { return 0; }
  /// In its own callbacks; -1 elsewhere.
  virtual int native_handle() const { return -1; }
  /// The same; nullptr elsewhere.
  virtual const TlsInfo* tls() const { return nullptr; }

  /// By this program, rather than accepted or adopted.
  virtual bool dialed() const noexcept { return false; }

  virtual Addr local() const = 0;
  virtual Addr remote() const = 0;
  /// "tcp 127.0.0.1:5000->127.0.0.1:40000", as Go words it.
  std::string describe() const {
    const Addr peer = remote();
    return peer.network() + ' ' + local().to_string() + "->" + peer.to_string();
  }

  /// Its loop's thread.
  virtual void set_context(std::unique_ptr<Context> context) = 0;
  void* find_context(const TypeId& type) const noexcept { return context_ ? context_->find(type) : nullptr; }

  std::uint64_t id() const noexcept { return id_; }
  int addr_index() const noexcept { return addr_index_; }
  int loop_index() const noexcept { return queue_->loop_index(); }
  std::shared_ptr<ServerControl> server() const noexcept { return queue_->server(); }

 protected:
  Endpoint(std::uint64_t id, RefPtr<NoteQueue> queue, int addr_index)
      : addr_index_(addr_index), id_(id), queue_(std::move(queue)) {}

  /// Makes it another endpoint. Only while nobody but the loop has a handle of it.
  void set_id(std::uint64_t id) noexcept { id_ = id; }

  NoteQueue& queue() const noexcept { return *queue_; }
  const RefPtr<NoteQueue>& shared_queue() const noexcept { return queue_; }
  std::unique_ptr<Context>& context() noexcept { return context_; }

 private:
  template <class T, class N>
  friend class IntrusiveList;

  int addr_index_;  // first, beside the count: there is room
  std::uint64_t id_;
  RefPtr<NoteQueue> queue_;
  std::unique_ptr<Context> context_;
  ListHook<Endpoint> hook_;
};

/// Goes from a handle to its endpoint and back.
class EndpointAccess {
 public:
  /// Takes the reference over.
  static Conn handle(RefPtr<Endpoint> endpoint) noexcept {
    Conn conn;
    conn.endpoint_ = endpoint.detach();
    return conn;
  }
  static Endpoint* endpoint(const Conn& conn) noexcept { return conn.endpoint_; }
};

}  // namespace evio::internal
