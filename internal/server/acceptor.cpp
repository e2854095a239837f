#include "internal/server/acceptor.hpp"

#include <new>
#include <string>
#include <utility>

#include "internal/base/resource_limit.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/server/worker.hpp"

namespace evio::internal {
namespace {

// Accepting goes on as long as connections wait, but not for ever: those that are open want their turn.
constexpr int kAcceptBatch = 64;

// The errors that are the new connection's own, or a temporary one of its network (accept(2)).
bool concerns_one_connection(int err) {
  switch (err) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

Acceptor::Acceptor(const Listener& listener, const Listener::Socket& socket, int addr_index, Worker& home,
                   const Workers& workers, ServerState& server, const Events& events)
    : fd_(socket.fd.get()),
      addr_index_(addr_index),
      bound_(socket.addr),
      network_(listener.network()),
      is_wildcard_(socket.is_wildcard),
      kernel_balanced_(listener.reuse_port()),
      given_(listener.given()),
      handshake_{listener.tls(), listener.proxy()},
      screens_(events.accepting || server.peer_limit().is_set()),
      home_(home),
      queue_(*home.loop().queue()),
      workers_(workers),
      server_(server),
      limit_(server.connection_limit().is_set() ? &server.connection_limit() : nullptr),
      events_(events) {}

Acceptor::~Acceptor() { home_.loop().timers().disarm(resume_timer_); }

std::error_code Acceptor::start() { return home_.loop().poller().add(fd_, Interest::kAccept, *this); }

void Acceptor::on_ready() noexcept {
  EVIO_ASSERT(home_.loop().on_thread());
  for (int i = 0; i != kAcceptBatch && !server_.closing(); ++i) {
    if (limit_ != nullptr && !limit_->reserve_or_rest(*this)) return rest();
    const Accepted accepted = accept_one();
    if (accepted == Accepted::kExhausted) pause();
    if (limit_ != nullptr && accepted != Accepted::kOne) limit_->release();
    if (accepted == Accepted::kNone || accepted == Accepted::kExhausted) return;
  }
}

// Those that are passed over leave the slot to the one behind them. What is left of many is for its own loop.
Accepted Acceptor::accept_waiting() noexcept {
  for (int i = 0; i != kAcceptBatch && !server_.closing(); ++i) {
    const Accepted accepted = accept_one();
    if (accepted != Accepted::kPassedOver) return accepted;
  }
  return Accepted::kNone;
}

[[gnu::flatten]] Accepted Acceptor::accept_one() noexcept {
  SocketAddress peer{SocketAddress::ByKernel{}};
  FileDescriptor fd(sys::accept4(fd_, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (sys::would_block(errno)) return Accepted::kNone;
    // EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever else must not become a busy loop
    if (concerns_one_connection(errno)) return Accepted::kPassedOver;
    tell_of_failure(errno);
    return Accepted::kExhausted;
  }
  try {
    return place(std::move(fd), peer);
  } catch (const std::bad_alloc&) {
    tell_of_failure(ENOMEM);
    return Accepted::kExhausted;
  }
}

Accepted Acceptor::place(FileDescriptor fd, const SocketAddress& peer) {
  const Addr remote = peer.to_addr(network_);
  if (screens_ && !admit(fd, remote)) return Accepted::kPassedOver;
  if (is_wildcard_) {
    SocketAddress own;
    if (own.read_local(fd.get())) return hand_over(std::move(fd), own.to_addr(network_), remote);
  }
  return hand_over(std::move(fd), bound_, remote);
}

// False when the connection is refused, and reset. One that is admitted counts for its peer.
bool Acceptor::admit(FileDescriptor& fd, const Addr& remote) {
  if (!handshake_.proxy && !server_.peer_limit().add(remote)) {
    reject(std::move(fd), remote, "its address has as many connections as max_per_ip allows");
    return false;
  }
  std::string_view why = "accepting returned false";
  try {
    if (!events_.accepting || events_.accepting(addr_index_, remote)) return true;
  } catch (...) {
    server_.fail();
    why = "accepting has thrown an exception";
  }
  if (!handshake_.proxy)
    server_.peer_limit().remove(remote);  // before the peer can see the end: it may come back at once
  reject(std::move(fd), remote, why);
  return false;
}

void Acceptor::reject(FileDescriptor fd, const Addr& remote, std::string_view why) noexcept try {
  queue_.figures().rejected.fetch_add(1, std::memory_order_relaxed);
  sys::reset_on_close(fd.get());
  fd.close();
  if (!events_.notice) return;
  server_.notice(
      queue_.loop_index(), Notice::Rejected, std::make_error_code(std::errc::connection_refused),
      "accept " + remote.network() + ' ' + bound_.to_string() + ": " + remote.to_string() + ": " + std::string(why));
} catch (const std::bad_alloc&) {  // for the words
}

// What the system has run out of.
void Acceptor::tell_of_failure(int err) noexcept try {
  queue_.figures().accept_errors.fetch_add(1, std::memory_order_relaxed);
  if (!events_.notice) return;
  const std::error_code code(err, std::system_category());
  server_.notice(
      queue_.loop_index(), Notice::AcceptFailed, code,
      "accept " + bound_.network() + ' ' + bound_.to_string() + ": " + code.message() + limit_of_descriptors(code));
} catch (const std::bad_alloc&) {
}

// Makes the connection and hands it over to its loop; to this one too, which opens it when every listener has accepted:
// `opened` may block.
Accepted Acceptor::hand_over(FileDescriptor fd, const Addr& local, const Addr& remote) {
  const int target = server_.place(queue_.loop_index(), kernel_balanced_, remote);
  try {
    Worker& worker = *workers_[static_cast<std::size_t>(target)];
    RefPtr<NoteTarget> stream = make_stream(std::move(fd), worker, local, remote);
    if (worker.loop().queue()->post({Note::Kind::kAdopt, std::move(stream)})) return Accepted::kOne;
    if (!server_.shutting_down()) throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
    withdraw(target, remote);
    throw;
  }
  withdraw(target, remote);  // that loop has ended: the socket is closed
  return Accepted::kPassedOver;
}

// With a PROXY header it has no addresses, and counts for no peer, until that was read.
RefPtr<NoteTarget> Acceptor::make_stream(FileDescriptor fd, Worker& worker, const Addr& local, const Addr& remote) {
  static const Addr kLater;
  const bool later = handshake_.proxy.has_value();
  RefPtr<Stream> stream(new Stream(std::move(fd), server_.next_ids(1), worker.streams(), addr_index_,
                                   later ? kLater : local, later ? kLater : remote));
  if (handshake_.any()) {
    stream->open_later(OpeningPtr(new Handshake(worker.handshakes(), *stream, handshake_, addr_index_, local, remote)),
                       network_ == Network::kUnix);
  }
  return RefPtr<NoteTarget>(stream.detach());
}

// What was counted for a connection counts no more.
void Acceptor::withdraw(int loop, const Addr& remote) noexcept {
  server_.withdraw(loop);
  if (!handshake_.proxy) server_.peer_limit().remove(remote);
}

void Acceptor::rest() noexcept {
  home_.loop().poller().remove(fd_);
  resting_ = true;
  if (is_shared()) pass_wake_up_on();
}

void Acceptor::on_order() noexcept {
  if (limit_ == nullptr) return;
  const auto order = limit_->take_order(*this);
  if (order == ConnectionLimit::Order::kNone) return;
  resting_ = false;
  const auto now = Timer::Clock::now();
  if (order == ConnectionLimit::Order::kWatch) return resume(now);
  home_.loop().timers().arm(resume_timer_, now + kPause);
}

// EPOLLEXCLUSIVE cannot be modified away (epoll_ctl(2)): to pause is to remove, to resume is to add.
void Acceptor::pause() noexcept {
  home_.loop().poller().remove(fd_);
  if (is_shared()) pass_wake_up_on();
  home_.loop().timers().arm(resume_timer_, Timer::Clock::now() + kPause);
}

void Acceptor::resume(Timer::TimePoint now) noexcept {
  if (start()) home_.loop().timers().arm(resume_timer_, now + kPause);
}

void Acceptor::stop() noexcept {
  if (limit_ != nullptr) limit_->stop(*this);
  if (!resume_timer_.armed() && !resting_) home_.loop().poller().remove(fd_);
  home_.loop().timers().disarm(resume_timer_);
  pass_wake_up_on();
}

// Another process may accept at this socket.
bool Acceptor::is_shared() const noexcept { return given_ || server_.copies().any_made(); }

// The kernel may have told this loop alone of a connection that it does not accept now (epoll_ctl(2): EPOLLEXCLUSIVE).
// On a listening socket this ends nothing, but wakes up everyone who waits for it.
void Acceptor::pass_wake_up_on() const noexcept { sys::shutdown(fd_, SHUT_WR); }

}  // namespace evio::internal
