#include "internal/server/acceptor.hpp"

#include <new>
#include <utility>

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

std::minstd_rand seeded(int index) {
  const auto now = Timer::Clock::now().time_since_epoch().count();
  return std::minstd_rand(static_cast<std::minstd_rand::result_type>(now + 7919 * index));
}

}  // namespace

Acceptor::Acceptor(const Listener& listener, const Listener::Socket& socket, int addr_index, Worker& home,
                   const Workers& workers, ServerState& server)
    : fd_(socket.fd.get()),
      addr_index_(addr_index),
      bound_(socket.addr),
      network_(listener.network()),
      is_wildcard_(socket.is_wildcard),
      kernel_balanced_(listener.reuse_port()),
      home_(home),
      workers_(workers),
      server_(server),
      random_(seeded(home.loop().index())) {}

Acceptor::~Acceptor() { home_.loop().timers().disarm(resume_timer_); }

std::error_code Acceptor::start() { return home_.loop().poller().add(fd_, Interest::kAccept, *this); }

void Acceptor::on_ready() noexcept {
  EVIO_ASSERT(home_.loop().on_thread());
  for (int i = 0; i != kAcceptBatch && !home_.loop().shutting_down() && accept_one(); ++i) {
  }
}

// False when there is nothing more to accept now.
[[gnu::flatten]] bool Acceptor::accept_one() {
  SocketAddress peer;
  FileDescriptor fd(sys::accept4(fd_, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (sys::would_block(errno)) return false;
    if (concerns_one_connection(errno)) return true;
    pause();  // EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever else must not become a busy loop
    return false;
  }
  try {
    place(std::move(fd), peer);
    return true;
  } catch (const std::bad_alloc&) {
    pause();
    return false;
  }
}

void Acceptor::place(FileDescriptor fd, const SocketAddress& peer) {
  if (is_wildcard_) {
    SocketAddress own;
    if (own.read_local(fd.get())) return hand_over(std::move(fd), own.to_addr(network_), peer);
  }
  hand_over(std::move(fd), bound_, peer);
}

// Makes the connection and hands it over to its loop; to this one too, which opens it when every listener has accepted:
// `opened` may block.
void Acceptor::hand_over(FileDescriptor fd, const Addr& local, const SocketAddress& peer) {
  const Addr remote = peer.to_addr(network_);
  const int target = server_.balancer().choose(home_.loop().index(), kernel_balanced_, random_(), remote);
  try {
    StreamHost& host = workers_[static_cast<std::size_t>(target)]->streams();
    RefPtr<NoteTarget> stream(new Stream(std::move(fd), server_.next_ids(1), host, addr_index_, local, remote));
    if (host.queue()->post({Note::Kind::kAdopt, std::move(stream)})) return;
    if (!server_.shutting_down()) throw std::bad_alloc();
    server_.balancer().on_closed(target);  // that loop has ended: the socket is closed
  } catch (const std::bad_alloc&) {
    server_.balancer().on_closed(target);
    throw;
  }
}

// EPOLLEXCLUSIVE cannot be modified away (epoll_ctl(2)): to pause is to remove, to resume is to add.
void Acceptor::pause() noexcept {
  home_.loop().poller().remove(fd_);
  home_.loop().timers().arm(resume_timer_, Timer::Clock::now() + kPause);
}

void Acceptor::resume(Timer::TimePoint now) noexcept {
  if (start()) home_.loop().timers().arm(resume_timer_, now + kPause);
}

void Acceptor::stop() noexcept {
  if (!resume_timer_.armed()) home_.loop().poller().remove(fd_);
  home_.loop().timers().disarm(resume_timer_);
}

}  // namespace evio::internal
