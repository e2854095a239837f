#include "internal/stream/stream_host.hpp"

#include <algorithm>
#include <limits>

namespace evio::internal {
namespace {

constexpr std::int64_t kManyLooks = std::numeric_limits<std::uint32_t>::max();

}  // namespace

StreamHost::StreamHost(Loop& loop, const Events& events, ServerControl& server)
    : events_(events), loop_(loop), figures_(loop.figures()), server_(server) {
  const std::chrono::nanoseconds timeout = events.close_timeout;
  if (timeout.count() <= 0) return;
  // Not by a sum: it may be the longest there is.
  const std::int64_t rounded_up = timeout / kLinger + (timeout % kLinger == timeout.zero() ? 0 : 1);
  const auto looks = std::min(rounded_up, kManyLooks);
  linger_looks_ = static_cast<std::uint32_t>(looks);
  linger_interval_ = std::min<std::chrono::nanoseconds>(kLinger, timeout / looks);
  discard_looks_ = static_cast<std::uint32_t>(std::min<std::int64_t>(kLinger / linger_interval_, kManyLooks));
}

StreamHost::~StreamHost() {
  loop_.timers().disarm(linger_timer_);
  loop_.timers().disarm(look_timer_);
}

Action StreamHost::call_measured(ConnTask& task, Conn& conn, std::string_view name) {
  const Conn about = conn;  // the function may assign to its own
  const CallTimer timer(server_, loop_.index(), name, events_.slow_callback,
                        [&] { return EndpointAccess::endpoint(about)->describe(); });
  return task.run(conn, out_);
}

bool StreamHost::call_pre_write() noexcept {
  if (!events_.pre_write) return true;
  try {
    events_.pre_write();
    return true;
  } catch (...) {
    server_.fail();
    return false;
  }
}

void StreamHost::add_lingering(Stream& stream) noexcept {
  lingering_.add(stream);
  TimerWheel& timers = loop_.timers();
  if (!linger_timer_.armed()) timers.arm(linger_timer_, stream.linger_until());
  if (loop_.stopping() && !look_timer_.armed()) timers.arm(look_timer_, Timer::Clock::now() + kLook);
}

// However many wait for the same moment: what is left is due in the next turn.
void StreamHost::on_linger_timer(TimePoint now) noexcept {
  for (int i = 0; i != kExpireAtOnce && !lingering_.empty() && lingering_.front().linger_until() <= now; ++i) {
    Stream& stream = lingering_.front();
    lingering_.remove(stream);
    if (!stream.linger_expired(now + linger_interval_)) lingering_.add(stream);
  }
  if (!lingering_.empty()) loop_.timers().arm(linger_timer_, lingering_.front().linger_until());
}

void StreamHost::begin_shutdown(TimePoint drain_until) {
  drain_until_ = drain_until;
  // From here on every send is refused; what was sent before is all in the queue.
  open_.for_each([](Stream& stream) { stream.end_of_input(); });
  while (loop_.handle_notes()) {
  }
  open_.for_each([](Stream& stream) { stream.finish(); });
  close_acknowledged(Timer::Clock::now());
}

void StreamHost::close_acknowledged(TimePoint now) noexcept {
  lingering_.for_each([this](Stream& stream) {
    if (!stream.is_acknowledged()) return;
    lingering_.remove(stream);
    stream.end_linger();
  });
  if (!lingering_.empty()) loop_.timers().arm(look_timer_, now + kLook);
}

void StreamHost::end() noexcept {
  outbox_.clear();
  while (!open_.empty()) open_.front().abandon();
  while (!lingering_.empty()) {
    Stream& stream = lingering_.front();
    lingering_.remove(stream);
    stream.end_linger();
  }
}

bool StreamHost::flush_outbox() noexcept {
  return outbox_.flush([](NoteTarget& target, Outbox::Chain chain) { static_cast<Stream&>(target).flush(chain); });
}

void StreamHost::sweep() {
  if (!flush_outbox()) loop_.queue()->post(Signal::kSweep);
  open_.for_each([](Stream& stream) { stream.sweep(); });
}

}  // namespace evio::internal
