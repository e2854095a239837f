#include "internal/server/dialer.hpp"

#include <new>
#include <string>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/server/dialing.hpp"
#include "internal/server/server_state.hpp"
#include "internal/stream/datagram_stream.hpp"

namespace evio::internal {
namespace {

/// A connection that no listener has accepted. Thread-safety: the thread that makes it.
struct NewConnection {
  bool dialed;
  bool datagrams;
  int loop;  // it counts there already
  std::unique_ptr<Context> context;
};

// Makes the connection, and posts what opens it to its loop: make_opener(stream, queue). A Conn of nothing when the
// loop has ended, or there is no memory.
template <class MakeOpener>
Conn post(ServerState& server, NewConnection with, MakeOpener make_opener) noexcept {
  const auto index = static_cast<std::size_t>(with.loop);
  const RefPtr<NoteQueue>& queue = server.queues[index];
  try {
    RefPtr<Stream> stream(with.datagrams ? new DatagramStream(server.next_ids(1), *server.hosts[index], queue)
                                         : new Stream(server.next_ids(1), *server.hosts[index], queue, with.dialed));
    if (with.context != nullptr) stream->set_context(std::move(with.context));
    stream->retain();
    Conn conn = EndpointAccess::handle(RefPtr<Endpoint>(stream.get()));
    RefPtr<NoteTarget> opener(make_opener(std::move(stream), queue));
    if (queue->post({Note::Kind::kAdopt, std::move(opener)})) return conn;
  } catch (const std::bad_alloc&) {
  }
  server.withdraw(with.loop);
  return {};
}

/// A socket on its way to its loop. Thread-safety: made by the thread that adopts it; then its loop's.
class Adopted final : public NoteTarget {
 public:
  Adopted(RefPtr<Stream> stream, FileDescriptor fd) noexcept : stream_(std::move(stream)), fd_(std::move(fd)) {}

 private:
  void on_adopt(RefPtr<NoteTarget>) noexcept override {
    stream_->retain();  // the loop's reference, until it is released at the end of a turn
    stream_->open_adopted(std::move(fd_));
  }
  void on_continue() noexcept override { EVIO_ASSERT(false); }
  void on_request() noexcept override { EVIO_ASSERT(false); }
  void on_flush() noexcept override { EVIO_ASSERT(false); }
  void on_discard() noexcept override {
    stream_->retain();
    stream_->end_unopened({});
  }

  RefPtr<Stream> stream_;
  FileDescriptor fd_;
};

// False when it is not a connected stream socket of a family that the library knows.
bool read_addresses(int fd, SocketAddress& own, SocketAddress& peer) {
  int type = 0;
  return sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type) == 0 && type == SOCK_STREAM && own.read_local(fd) &&
         peer.read_peer(fd) && (own.family() == AF_UNIX || own.family() == AF_INET || own.family() == AF_INET6);
}

FileDescriptor prepared(DetachedConn socket) {
  FileDescriptor fd(sys::above_standard(socket.release()));
  if (!fd.valid() || sys::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0 ||
      sys::fcntl(fd.get(), F_SETFL, sys::fcntl(fd.get(), F_GETFL, 0) | O_NONBLOCK) != 0)
    return {};
  // A unix socket has neither. Urgent data stays in its place.
  sys::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  sys::setsockopt(fd.get(), SOL_SOCKET, SO_OOBINLINE, 1);
  return fd;
}

}  // namespace

Conn Dialer::dial(ServerState& server, std::string_view addr, Dial&& how, std::unique_ptr<Context> context) try {
  AddressSpec spec;
  Error problem = parse_peer_address(addr, spec);
  // A path that is too long is a bad address like any other.
  if (problem) problem = Error(std::make_error_code(std::errc::invalid_argument), problem.message());
  if (!problem && spec.tls && !how.tls)
    problem = address_error(spec, std::make_error_code(std::errc::invalid_argument), "Dial::tls refers to no context");
  const int loops = static_cast<int>(server.queues.size());
  if (!problem && (how.loop < -1 || how.loop >= loops)) {
    problem = address_error(spec, std::make_error_code(std::errc::invalid_argument),
                            "there is no loop " + std::to_string(how.loop));
  }
  const int loop = server.choose_loop(problem ? -1 : how.loop);
  Dialer& dialer = *server.dialers[static_cast<std::size_t>(loop)];
  const bool datagrams = spec.network == Network::kUdp;
  return post(
      server, {true, datagrams, loop, std::move(context)}, [&](RefPtr<Stream> stream, const RefPtr<NoteQueue>& queue) {
        return new Dialing(dialer, std::move(stream), queue, std::move(spec), std::move(how), std::move(problem));
      });
} catch (const std::bad_alloc&) {
  return {};
}

Conn Dialer::adopt(ServerState& server, DetachedConn socket, std::unique_ptr<Context> context, int loop) try {
  SocketAddress own;
  SocketAddress peer;
  if (loop < -1 || loop >= static_cast<int>(server.queues.size()) || server.shutting_down() ||
      !read_addresses(socket.fd(), own, peer))
    return {};
  FileDescriptor fd = prepared(std::move(socket));
  if (!fd.valid()) return {};
  const Network network = own.family() == AF_UNIX ? Network::kUnix : Network::kTcp;
  const Addr local = own.to_addr(network);
  const Addr remote = peer.to_addr(network);
  const int target = server.choose_loop(loop, remote);
  return post(server, {false, false, target, std::move(context)}, [&](RefPtr<Stream> stream, const RefPtr<NoteQueue>&) {
    stream->set_addresses(local, remote);
    return new Adopted(std::move(stream), std::move(fd));
  });
} catch (const std::bad_alloc&) {
  return {};
}

void Dialer::cancel() noexcept {
  while (!active_.empty()) active_.front().cancel();
}

void Dialer::sweep() noexcept {
  active_.for_each([](Dialing& dialing) { dialing.sweep(); });
}

}  // namespace evio::internal
