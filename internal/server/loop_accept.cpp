#include "internal/loop/loop.hpp"

namespace evio::internal {
namespace {

// Accepting goes on as long as there are connections, but not for ever: those connected want their turn.
constexpr int kAcceptBatch = 64;

// The errors that are the new connection's own, or a passing one of its network (accept(2)).
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

std::error_code Loop::listen(const Acceptor& acceptor) {
  const auto& added = acceptors_.emplace_back(std::make_unique<Acceptor>(acceptor));
  return poller_->add(acceptor.fd, acceptor.shared ? Interest::kAccept : Interest::kRead,
                      static_cast<Source*>(added.get()));
}

// A callback may block, `opened` included: the connections of all listeners that only this loop was woken for are
// handed over before the first of its own is opened.
void Loop::accept_from(std::span<const Ready> ready) {
  for (const Ready& r : ready) {
    if (auto* const source = static_cast<Source*>(r.tag); source->kind == Source::Kind::kListener)
      accept(static_cast<Acceptor&>(*source));
  }
  if (!accepted_.empty()) open_accepted();
}

void Loop::accept(Acceptor& acceptor) {
  for (int i = 0; i != kAcceptBatch && !server_.shutting_down() && accept_one(acceptor); ++i) {
  }
}

void Loop::open_accepted() {
  for (const Conn& conn : accepted_) {
    if (server_.shutting_down()) break;  // those left go as they came: no one has been told of them
    auto& c = static_cast<Connection&>(*EndpointAccess::peer(conn));
    c.adopt_self();
    dispatch(c, Step::kOpen);
  }
  accepted_.clear();
}

// False when there is nothing more to accept now.
bool Loop::accept_one(Acceptor& acceptor) {
  SocketAddress peer;
  FileDescriptor fd(sys::accept4(acceptor.fd, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (concerns_one_connection(errno)) return true;
    pause(acceptor);  // EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever else must not become a busy loop
    return false;
  }
  try {
    place(acceptor, std::move(fd), peer);
    return true;
  } catch (const std::bad_alloc&) {
    pause(acceptor);
    return false;
  }
}

// Makes the connection and gives it to its loop.
void Loop::place(Acceptor& acceptor, FileDescriptor fd, const SocketAddress& peer) {
  Addr local = acceptor.addr;
  if (acceptor.any_address) {
    SocketAddress own;
    if (own.read_local(fd.get())) local = own.to_addr(Network::kTcp);
  }
  Addr remote = peer.to_addr(acceptor.is_unix ? Network::kUnix : Network::kTcp);
  const int target = balancer_.choose(index_, acceptor.kernel_spreads, random());
  try {
    const auto& queue = server_.queues[static_cast<std::size_t>(target)];
    Conn conn = EndpointAccess::adopt(new Connection(std::move(fd), server_.next_ids(1), queue, acceptor.addr_index,
                                                     std::move(local), std::move(remote)));
    if (target == index_) {
      accepted_.push_back(std::move(conn));
    } else if (!queue->post(Note::adopt(EndpointAccess::release(conn)))) {
      balancer_.release(target);  // no memory for the note, or that loop has ended: the socket is closed
    }
  } catch (const std::bad_alloc&) {
    balancer_.release(target);
    throw;
  }
}

// EPOLLEXCLUSIVE cannot be modified away (epoll_ctl(2)): to pause is to remove, to resume is to add.
void Loop::pause(Acceptor& acceptor) {
  poller_->remove(acceptor.fd);
  acceptor.resume_at = Clock::now() + kPause;
  next_resume_ = std::min(next_resume_, acceptor.resume_at);
}

void Loop::resume(Acceptor& acceptor) {
  const Interest interest = acceptor.shared ? Interest::kAccept : Interest::kRead;
  const bool failed = static_cast<bool>(poller_->add(acceptor.fd, interest, static_cast<Source*>(&acceptor)));
  acceptor.resume_at = failed ? Clock::now() + kPause : kNever;
}

}  // namespace evio::internal
