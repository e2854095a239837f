#include "internal/server/worker.hpp"

#include <algorithm>
#include <utility>

#include "internal/server/server_access.hpp"

namespace evio::internal {

using std::chrono::nanoseconds;

Worker::Worker(int index, std::unique_ptr<Poller> poller, const Events& events, ServerState& server,
               ListenerSet& listeners)
    : events_(events),
      server_(server),
      listeners_(listeners),
      loop_(index, std::move(poller), server.stop_flag(), server.figures[static_cast<std::size_t>(index)]),
      streams_(loop_, events, server),
      tasks_(loop_, server, events.slow_callback),
      handshakes_(loop_, server, events),
      dialer_(loop_, server, handshakes_) {}

// Where serve() failed, no loop ran.
Worker::~Worker() {
  end_unrun();
  loop_.timers().disarm(tick_timer_);
  loop_.timers().disarm(shutdown_timer_);
  loop_.timers().disarm(drain_timer_);
}

std::error_code Worker::listen(const Listener& listener, const Listener::Socket& socket, int addr_index,
                               const Workers& workers) {
  return acceptors_
      .emplace_back(std::make_unique<Acceptor>(listener, socket, addr_index, *this, workers, server_, events_))
      ->start();
}

std::error_code Worker::receive(FileDescriptor fd, int addr_index, const Addr& addr) {
  return receivers_
      .emplace_back(std::make_unique<DatagramReceiver>(std::move(fd), addr_index, addr, loop_, events_, server_))
      ->start();
}

void Worker::run() noexcept {
  if (loop_.index() == 0 && events_.tick) loop_.queue()->post(Signal::kTick);
  loop_.run(*this);
}

void Worker::on_listen() noexcept {
  for (const auto& acceptor : acceptors_) acceptor->on_order();
}

void Worker::tick(Timer::TimePoint) noexcept {
  if (loop_.shutting_down()) return;
  nanoseconds delay{0};
  try {
    if (events_.tick(delay) == Action::Shutdown) server_.shut_down();
  } catch (...) {
    server_.fail();
  }
  const auto now = Timer::Clock::now();
  // A delay beyond the end of time is no tick at all.
  loop_.timers().arm(tick_timer_, delay < Timer::kNever - now ? now + std::max(delay, nanoseconds(0)) : Timer::kNever);
}

// Loop 0, once.
void Worker::on_stopping() noexcept {
  if (loop_.shutting_down()) return;
  try {
    events_.stopping(ServerAccess::handle(loop_.queue()->server()));
  } catch (...) {
    server_.keep_exception();
  }
  server_.begin_shutdown();
}

// The first loop to come here refuses newcomers for all; the last one closes the listening sockets.
void Worker::stop_listening() noexcept {
  if (!std::exchange(listening_, false)) return;
  listeners_.refuse_newcomers(server_.copies());
  for (const auto& acceptor : acceptors_) acceptor->stop();
  for (const auto& receiver : receivers_) receiver->stop();
  if (listeners_.leave()) server_.on_listeners_closed();
}

void Worker::on_drain() noexcept {
  if (loop_.stopping()) return;
  if (loop_.index() == 0) loop_.timers().arm(shutdown_timer_, server_.drain_until());
  stop_listening();
}

void Worker::on_shutdown() noexcept {
  loop_.timers().disarm(tick_timer_);
  loop_.timers().disarm(shutdown_timer_);
  loop_.queue()->refuse_functions();
  stop_listening();
  handshakes_.end();
  dialer_.cancel();
  const nanoseconds drain = std::max(nanoseconds(0), events_.drain_timeout);
  const auto now = Timer::Clock::now();
  const auto until = drain < Timer::kNever - now ? now + drain : Timer::kNever;
  loop_.timers().arm(drain_timer_, until);
  streams_.begin_shutdown(until);
  drained_ = drain == nanoseconds(0);
}

void Worker::end_drain(Timer::TimePoint) noexcept { drained_ = true; }

bool Worker::done() noexcept {
  const bool answering = std::ranges::any_of(receivers_, [](const auto& receiver) { return receiver->is_answering(); });
  return drained_ || (streams_.empty() && !answering);
}

void Worker::on_end() noexcept {
  loop_.timers().disarm(drain_timer_);
  tasks_.end();
  dialer_.cancel();
  streams_.end();
}

}  // namespace evio::internal
