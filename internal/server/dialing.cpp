#include "internal/server/dialing.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/loop/timed_task.hpp"
#include "internal/net/resolver.hpp"
#include "internal/server/dialer.hpp"
#include "internal/server/handshake.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {
namespace {

// RFC 8305, section 5: the delay that it recommends.
constexpr std::chrono::milliseconds kNextAttempt{250};
// connect(2) to a unix socket whose backlog is full fails, and no poller tells when there is room.
constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{50};
// A dial during a shutdown ends no sooner: a program that dials again each time must not keep the loop busy.
constexpr std::chrono::milliseconds kBeforeCancel{10};

int family_of(const AddressSpec& spec) noexcept {
  switch (spec.family) {
    case AddressSpec::Family::kV4:
      return AF_INET;
    case AddressSpec::Family::kV6:
      return AF_INET6;
    case AddressSpec::Family::kBoth:
      break;
  }
  return AF_UNSPEC;
}

template <class Address>
auto& port_of(Address& address) noexcept {
  return address.family() == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port;
}

// Whether a socket that was connected to that address is connected to itself. Linux takes a wildcard for the address
// that it connects from, over IPv6 for the loopback.
bool is_own(const SocketAddress& own, const SocketAddress& to) {
  if (own.family() != to.family() || port_of(own) != port_of(to)) return false;
  if (to.family() == AF_INET && to.v4.sin_addr.s_addr == htonl(INADDR_ANY)) return true;
  if (to.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&to.v6.sin6_addr))
    return IN6_IS_ADDR_LOOPBACK(&own.v6.sin6_addr);
  return own.to_addr(Network::kTcp) == to.to_addr(Network::kTcp);
}

// Anybody may send to a bound datagram socket until it is connected: what has arrived by then is dropped. connect(2)
// ends a flood, which leaves no more than the receive buffer holds; the kernel counts at least 768 bytes a datagram.
void drop_input(int fd) noexcept {
  constexpr int kMost = 1024;
  char ignored = 0;
  for (int i = 0; i != kMost && sys::read(fd, &ignored, 1) >= 0; ++i) {
  }
}

// "127.0.0.2", "::1", "[::1]", "127.0.0.2:7000" or "[::1]:7000".
bool parse_local(const std::string& text, SocketAddress& local) {
  AddressSpec spec;
  const bool bracketed = text.starts_with('[') && text.ends_with(']');
  const bool has_port = !bracketed && (text.starts_with('[') || std::ranges::count(text, ':') == 1);
  if (bracketed) {
    spec.host = text.substr(1, text.size() - 2);
  } else if (has_port) {
    if (parse_address("tcp://" + text, spec)) return false;
  } else {
    spec.host = text;
  }
  if (spec.host.empty()) return false;
  const Resolved resolved = resolve_peer(spec.host, spec.port, AF_UNSPEC, false);
  if (resolved.addresses.empty()) return false;
  local = resolved.addresses.front();
  return true;
}

}  // namespace

/// A socket that is being connected.
struct Dialing::Attempt final : Pollable, Recycled<Attempt> {
  Attempt(Dialing& owner, FileDescriptor socket, const SocketAddress& address) noexcept
      : dialing(owner), fd(std::move(socket)), to(address) {}
  void on_ready() noexcept override {
    if (fd.valid()) dialing.on_attempt(*this);
  }

  Dialing& dialing;
  FileDescriptor fd;  // invalid once the attempt has ended
  const SocketAddress to;
};

Dialing::Dialing(Dialer& dialer, RefPtr<Stream> stream, RefPtr<NoteQueue> queue, AddressSpec&& spec, Dial&& how,
                 Error problem)
    : NameAsker(std::move(queue)),
      dialer_(dialer),
      stream_(std::move(stream)),
      spec_(std::move(spec)),
      how_(std::move(how)),
      deadline_(how_.timeout.count() > 0 ? time_after(how_.timeout) : Timer::kNever),
      failure_(std::move(problem)) {}

Dialing::~Dialing() = default;

void Dialing::on_adopt(RefPtr<NoteTarget> self) noexcept {
  self.detach();  // this reference lasts until the end of the turn in which it ends
  dialer_.active_.add(*this);
  stream_->retain();  // the loop's reference, until it is released at the end of a turn
  if (!stream_->set_opening(*this)) return;
  TimerWheel& timers = dialer_.loop_.timers();
  if (dialer_.loop_.shutting_down()) return timers.arm(cancel_timer_, Timer::Clock::now() + kBeforeCancel);
  if (failure_) return fail(std::exchange(failure_, {}));
  timers.arm(timeout_timer_, deadline_);
  try {
    begin();
  } catch (const std::bad_alloc&) {
    fail_without_memory();
  }
}

// Its loop has ended.
void Dialing::on_discard() noexcept {
  if (has_ended()) return;
  stream_->retain();
  std::exchange(stream_, {})->end_unopened(canceled());
}

void Dialing::begin() {
  if (!how_.local.empty() && (spec_.network == Network::kUnix || !parse_local(how_.local, local_))) {
    return fail(address_error(spec_, std::make_error_code(std::errc::invalid_argument),
                              "bad local address \"" + how_.local + '"'));
  }
  if (spec_.network == Network::kUnix) return take_addresses({SocketAddress::unix_path(spec_.path)});
  Resolved numeric = resolve_peer(spec_.host, spec_.port, AF_UNSPEC, spec_.host.empty());
  if (numeric.error) return fail(error(numeric.error, "resolve"));
  if (numeric.addresses.empty()) return look_up();
  take_addresses(std::move(numeric.addresses));
}

void Dialing::look_up() {
  retain();
  const auto err = dialer_.server_.lookups().ask(spec_.host, family_of(spec_), RefPtr<NameAsker>(this));
  if (err) fail(error(err, "start a thread to look up the name"));
}

// The loop was short of memory for a note: of another thread's request, or of the name's addresses.
void Dialing::sweep() noexcept {
  stream_->sweep();
  if (!has_ended()) on_continue();
}

void Dialing::on_continue() noexcept {
  const std::shared_ptr<const Resolved> answer = take_answer();
  if (has_ended() || answer == nullptr) return;
  if (answer->error) return fail(error(answer->error, "resolve"));
  try {
    std::vector<SocketAddress> addresses = answer->addresses;
    for (SocketAddress& address : addresses) port_of(address) = htons(spec_.port);
    take_addresses(std::move(addresses));
  } catch (const std::bad_alloc&) {
    fail_without_memory();
  }
}

void Dialing::take_addresses(std::vector<SocketAddress> addresses) {
  const int family = family_of(spec_);
  std::erase_if(addresses, [&](const SocketAddress& address) {
    return (family != AF_UNSPEC && address.family() != family) ||
           (!how_.local.empty() && address.family() != local_.family());
  });
  addresses_ = std::move(addresses);
  if (addresses_.empty())
    return fail(address_error(
        spec_, std::make_error_code(std::errc::invalid_argument),
        how_.local.empty() ? "no address of that family" : "no address of the family of the local address"));
  try_next({});
}

void Dialing::try_next(TimePoint) noexcept try {
  TimerWheel& timers = dialer_.loop_.timers();
  timers.disarm(next_timer_);
  while (next_ != addresses_.size()) {
    const SocketAddress& to = addresses_[next_++];
    stream_->set_addresses({}, to.to_addr(spec_.network));
    if (!try_address(to)) {
      if (has_ended() || next_timer_.armed()) return;
      continue;
    }
    if (!has_ended() && !shakes_hands_ && next_ != addresses_.size())
      timers.arm(next_timer_, Timer::Clock::now() + kNextAttempt);
    return;
  }
  const bool waits = std::ranges::any_of(attempts_, [](const auto& attempt) { return attempt->fd.valid(); });
  if (!waits) fail(std::exchange(failure_, {}));
} catch (const std::bad_alloc&) {
  fail_without_memory();
}

FileDescriptor Dialing::make_socket(const SocketAddress& to) {
  const int type = spec_.network == Network::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  FileDescriptor fd(sys::socket(to.family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    failure_ = error(sys::last_error(), "socket");
    return {};
  }
  if (to.family() == AF_UNIX) return fd;
  if (type == SOCK_STREAM) {
    // As sockets that are accepted have it. A connection is not refused for want of these.
    sys::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    sys::setsockopt(fd.get(), SOL_SOCKET, SO_OOBINLINE, 1);
  }
  if (how_.local.empty()) return fd;
  sys::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  // Without a port of its own, connect(2) chooses one that is free for this peer (ip(7)).
  sys::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (sys::bind(fd.get(), &local_.any, local_.size) == 0) return fd;
  failure_ = error(sys::last_error(), "bind");
  return {};
}

// False when it has failed, which failure_ says, or is to be tried again.
bool Dialing::try_address(const SocketAddress& to) {
  FileDescriptor fd = make_socket(to);
  if (!fd.valid()) return false;
  if (sys::connect(fd.get(), &to.any, to.size) == 0) {
    if (spec_.network == Network::kUdp) drop_input(fd.get());
    connected(std::move(fd), to, false);
    return true;
  }
  const auto err = sys::last_error();
  if (to.family() == AF_UNIX && sys::would_block(err.value())) {
    --next_;
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    dialer_.loop_.timers().arm(next_timer_, Timer::Clock::now() + pause_);
    return false;
  }
  if (err.value() != EINPROGRESS) {
    failure_ = error(err, "connect");
    return false;
  }
  attempts_.push_back(std::make_unique<Attempt>(*this, std::move(fd), to));
  Attempt& attempt = *attempts_.back();
  const auto code = dialer_.loop_.poller().add(attempt.fd.get(), Interest::kWrite, attempt);
  if (!code) return true;
  attempt.fd.close();
  failure_ = error(code, "watch");
  return false;
}

void Dialing::on_attempt(Attempt& attempt) noexcept {
  const int err = sys::take_error(attempt.fd.get());
  if (err == 0) return connected(std::move(attempt.fd), attempt.to, true);
  try {
    give_up_attempt(attempt, {err, std::system_category()}, "connect");
  } catch (const std::bad_alloc&) {
    fail_without_memory();
  }
}

// The next address is tried at once.
void Dialing::give_up_attempt(Attempt& attempt, std::error_code code, std::string_view call) {
  dialer_.loop_.poller().remove(attempt.fd.get());
  attempt.fd.close();
  failure_ = error(code, call);
  try_next({});
}

// A connection to a port of this host where nobody listens may be given that port itself (RFC 9293, 3.5: simultaneous
// open): then it is connected to itself.
void Dialing::connected(FileDescriptor fd, const SocketAddress& to, bool registered) noexcept {
  SocketAddress own;
  const bool knows_own = own.read_local(fd.get());
  if (knows_own && spec_.network == Network::kTcp && is_own(own, to)) {
    if (registered) dialer_.loop_.poller().remove(fd.get());
    fd.close();
    try {
      failure_ = error(std::make_error_code(std::errc::connection_refused), "connect");
    } catch (const std::bad_alloc&) {
      return fail_without_memory();
    }
    return try_next({});
  }
  close_attempts();
  Stream& stream = *stream_;
  try {
    stream.set_addresses(knows_own ? own.to_addr(spec_.network) : Addr(), to.to_addr(spec_.network));
  } catch (const std::bad_alloc&) {
    // They stay as they were.
  }
  stream.set_socket(std::move(fd), registered);
  if (spec_.tls) return shake_hands();
  on_handshake_done();
  stream.open();
}

void Dialing::shake_hands() noexcept try {
  dialer_.loop_.timers().disarm(next_timer_);
  shakes_hands_ = true;
  const auto& context = TlsAccess::state(how_.tls);
  std::string host = !how_.server_name.empty() ? how_.server_name : spec_.host.empty() ? "localhost" : spec_.host;
  auto session = context->connect(context, std::move(host));
  auto* const handshake = new Handshake(dialer_.handshakes_, *stream_, std::move(session), *this);
  stream_->open_later(OpeningPtr(handshake), false);
  handshake->on_ready();  // it speaks first
} catch (const std::bad_alloc&) {
  fail_without_memory();
}

void Dialing::on_handshake_done() noexcept {
  end_soon();
  stream_ = {};
}

void Dialing::on_handshake_failed(const Error& err) noexcept try {
  fail(address_error(spec_, err.code(), "handshake: " + err.message()));
} catch (const std::bad_alloc&) {
  fail(Error(err.code(), {}));
}

void Dialing::time_out(TimePoint) noexcept try {
  if (shakes_hands_) dialer_.loop_.figures().handshakes_failed.add(1);
  fail(error(std::make_error_code(std::errc::timed_out), shakes_hands_        ? "handshake"
                                                         : addresses_.empty() ? "resolve"
                                                                              : "connect"));
} catch (const std::bad_alloc&) {
  fail(Error(std::make_error_code(std::errc::timed_out), "timed out"));
}

// Ready events of this turn may still point at its attempts.
void Dialing::end_soon() noexcept {
  TimerWheel& timers = dialer_.loop_.timers();
  timers.disarm(timeout_timer_);
  timers.disarm(next_timer_);
  timers.disarm(cancel_timer_);
  dialer_.server_.lookups().forget(*this);
  dialer_.active_.remove(*this);
  dialer_.loop_.end_later(*this);
}

void Dialing::fail(Error err) noexcept {
  if (has_ended()) return;
  close_attempts();
  end_soon();
  std::exchange(stream_, {})->end_unopened(err);
}

void Dialing::cancel(TimePoint) noexcept { fail(canceled()); }

void Dialing::fail_without_memory() noexcept {
  fail(Error(std::make_error_code(std::errc::not_enough_memory), "no memory"));
}

void Dialing::close_attempts() noexcept {
  for (const auto& attempt : attempts_) {
    if (!attempt->fd.valid()) continue;
    dialer_.loop_.poller().remove(attempt->fd.get());
    attempt->fd.close();
  }
}

Error Dialing::canceled() const noexcept try {
  const auto code = std::make_error_code(std::errc::operation_canceled);
  return address_error(spec_, code, code.message());
} catch (const std::bad_alloc&) {
  return Error(std::make_error_code(std::errc::operation_canceled), "canceled");
}

Error Dialing::error(std::error_code code, std::string_view call) const { return call_error(spec_, code, call); }

}  // namespace evio::internal
