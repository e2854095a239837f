#include "internal/server/handshake.hpp"

#include <array>
#include <new>
#include <utility>

#include "internal/base/syscalls.hpp"
#include "internal/net/client_hello.hpp"
#include "internal/server/dialing.hpp"
#include "internal/server/server_state.hpp"

namespace evio::internal {
namespace {

// Longer than any PROXY header, and than most of what a TLS client says first.
constexpr std::size_t kReadAtOnce = 8 * 1024;
// Of a client's hello, with the headers of its records.
constexpr std::size_t kLongestHello = 80 * 1024;

// A fatal alert (RFC 8446, 6), as plain text: nothing is encrypted before a certificate was chosen.
void send_alert(int fd, char description) noexcept {
  const std::array<char, 7> alert{21, 3, 3, 0, 2, 2, description};
  sys::send(fd, alert.data(), alert.size(), MSG_NOSIGNAL);  // where it fails there is nobody to tell
}
constexpr char kUnexpectedMessage = 10;
constexpr char kInternalError = 80;
constexpr char kUnrecognizedName = 112;

}  // namespace

void Handshakes::end() noexcept {
  while (!active_.empty()) {
    Handshake& handshake = active_.front();
    handshake.leave();
    handshake.stream_.end_handshake(false);
  }
}

bool Handshakes::may_go_on(Handshake& one) noexcept {
  const std::uint16_t turn = loop_.turns();
  const bool went_round = put_off_ == nullptr || put_off_ == &one;
  if (turn_ != turn && (went_round || static_cast<std::uint16_t>(turn - turn_) >= kTurnsARound)) {
    put_off_ = nullptr;
    turn_ = turn;
    steps_left_ = kStepsATurn;
  }
  if (steps_left_ != 0) return true;
  if (put_off_ == nullptr) {
    put_off_ = &one;
    one.was_put_off_ = true;
    turn_ = turn;
  }
  return false;
}

Handshake::Handshake(Handshakes& all, Stream& stream, HandshakeRules rules, int addr_index, const Addr& local,
                     const Addr& remote)
    : all_(all), stream_(stream), rules_(rules), addr_index_(addr_index), local_(local), remote_(remote) {}

Handshake::Handshake(Handshakes& all, Stream& stream, std::unique_ptr<TlsSession> session, Dialing& dial)
    : all_(all), stream_(stream), rules_{true, {}}, session_(std::move(session)), dial_(&dial) {}

Handshake::~Handshake() {
  EVIO_ASSERT(!timer_.armed());
  if (was_put_off_ && all_.put_off_ == this) all_.put_off_ = nullptr;
}

void Handshake::on_begin() noexcept {
  all_.active_.add(*this);
  all_.loop_.figures().unopened.add(1);
  const auto limit = all_.events_.handshake_timeout;
  if (limit.count() > 0) all_.loop_.timers().arm(timer_, time_after(limit));
  wait_for(Interest::kRead);
}

// Only of a dialed connection does anybody have a handle.
void Handshake::on_cancel() noexcept { dial_->cancel(); }

void Handshake::on_ready() noexcept try {
  if (go_on()) finish();
} catch (const std::bad_alloc&) {
  fail_without_memory();
}

bool Handshake::go_on() {
  if (rules_.proxy && !read_proxy_header()) return false;
  if (!rules_.tls) return true;
  if (!all_.may_go_on(*this)) return wait_for(session_ == nullptr ? Interest::kRead : Interest::kReadWrite);
  --all_.steps_left_;  // for a part of a hello, too: each looks at all that has come
  if (session_ == nullptr && !read_hello()) return false;
  return shake();
}

// What does not belong to the header stays at the socket: it is the connection's input.
bool Handshake::read_proxy_header() {
  std::array<char, kReadAtOnce> bytes;
  const ssize_t n = sys::peek(stream_.fd(), bytes.data(), bytes.size());
  if (n <= 0) return fail_reading(n);
  const std::size_t before = received_.size();
  received_.append(bytes.data(), static_cast<std::size_t>(n));
  ProxyHeader header;
  std::string_view why;
  const ProxyState state = parse_proxy_header(received_, *rules_.proxy, header, why);
  if (state == ProxyState::kBad) return fail(std::errc::protocol_error, "bad PROXY header: " + std::string(why), true);
  const bool complete = state == ProxyState::kComplete;
  const std::size_t taken = complete ? header.size - before : static_cast<std::size_t>(n);
  if (sys::read(stream_.fd(), bytes.data(), taken) != static_cast<ssize_t>(taken))
    return fail(std::errc::io_error, "read", true);
  if (!complete) return false;
  received_.clear();
  rules_.proxy.reset();
  return take_addresses(header);
}

bool Handshake::take_addresses(const ProxyHeader& header) {
  if (header.has_addresses) {
    local_ = header.destination.to_addr(Network::kTcp);
    remote_ = header.source.to_addr(Network::kTcp);
  }
  if (!all_.server_.peer_limit().add(remote_)) return reject();
  stream_.set_addresses(local_, remote_);  // it counts for this peer until it ends
  return true;
}

// The client's first message says which name it asks for, and so which certificate it is to see.
bool Handshake::read_hello() {
  std::array<char, kReadAtOnce> bytes;
  const ssize_t n = sys::read(stream_.fd(), bytes.data(), bytes.size());
  if (n <= 0) return fail_reading(n);
  received_.append(bytes.data(), static_cast<std::size_t>(n));
  std::string server_name;
  switch (find_server_name(received_, server_name)) {
    case ClientHello::kIncomplete:
      return received_.size() > kLongestHello &&
             fail(std::errc::protocol_error, "the client's hello is too long", true);
    case ClientHello::kNotTls:
      send_alert(stream_.fd(), kUnexpectedMessage);
      return fail(std::errc::protocol_error, "the peer does not speak TLS", false);
    case ClientHello::kName:
      break;
  }
  return choose_context(std::move(server_name));
}

bool Handshake::choose_context(std::string server_name) {
  TlsContext context;
  try {
    context = all_.events_.tls(addr_index_, server_name);
  } catch (...) {
    all_.server_.fail();
    send_alert(stream_.fd(), kInternalError);
    return fail(std::errc::operation_canceled, "tls has thrown an exception", false);
  }
  const auto& state = TlsAccess::state(context);
  if (state == nullptr) {
    send_alert(stream_.fd(), kUnrecognizedName);
    return fail(std::errc::permission_denied, "no certificate for the name \"" + server_name + '"', false);
  }
  session_ = state->accept(state, std::exchange(received_, {}), std::move(server_name));
  return true;
}

bool Handshake::shake() {
  switch (session_->handshake(stream_.fd())) {
    case TlsSession::Progress::kDone:
      return true;
    case TlsSession::Progress::kWantsRead:
      return wait_for(Interest::kRead);
    case TlsSession::Progress::kWantsWrite:
      return wait_for(Interest::kWrite);
    case TlsSession::Progress::kFailed:
      break;
  }
  return fail(session_->failure(), false);
}

// Always false, as it waits.
bool Handshake::wait_for(Interest interest) noexcept try {
  const auto err = stream_.watch(interest);
  return err ? fail(Error(err, "watch: " + err.message()), true) : false;
} catch (const std::bad_alloc&) {
  return fail_without_memory();
}

// This is gone when it returns.
void Handshake::finish() noexcept {
  if (session_ != nullptr) {
    Figures& figures = all_.loop_.figures();
    figures.handshakes.add(1);
    if (session_->info().resumed) figures.handshakes_resumed.add(1);
  }
  leave();
  if (dial_ != nullptr) dial_->on_handshake_done();
  stream_.open(std::move(session_));
}

void Handshake::leave() noexcept {
  all_.loop_.timers().disarm(timer_);
  if (dial_ != nullptr) return;
  all_.active_.remove(*this);
  all_.loop_.figures().unopened.subtract(1);
}

void Handshake::time_out(Timer::TimePoint) noexcept try {
  const auto code = std::make_error_code(std::errc::timed_out);
  fail(Error(code, code.message()), true);
} catch (const std::bad_alloc&) {
  fail(Error(std::make_error_code(std::errc::timed_out), {}), true);
}

bool Handshake::fail_reading(ssize_t n) {
  if (n < 0 && sys::would_block(errno)) return false;
  if (n == 0) return fail(std::errc::protocol_error, "the peer has ended the connection", true);
  const auto code = sys::last_error();
  return fail(Error(code, "read: " + code.message()), true);
}

bool Handshake::fail(std::errc code, std::string_view what, bool reset) {
  return fail(Error(std::make_error_code(code), std::string(what)), reset);
}

// Always false: this is gone.
bool Handshake::fail(const Error& err, bool reset) noexcept {
  all_.loop_.figures().handshakes_failed.add(1);
  if (dial_ != nullptr) {
    dial_->on_handshake_failed(err);
    return false;
  }
  if (reset) all_.loop_.figures().aborted.add(1);
  tell(Notice::HandshakeFailed, err.code(), err.message());
  leave();
  stream_.end_handshake(reset);
  return false;
}

bool Handshake::fail_without_memory() noexcept {
  return fail(Error(std::make_error_code(std::errc::not_enough_memory), "no memory"), true);
}

// By max_per_ip, which counts the peer that the PROXY header names.
bool Handshake::reject() {
  all_.loop_.figures().rejected.fetch_add(1, std::memory_order_relaxed);
  tell(Notice::Rejected, std::make_error_code(std::errc::connection_refused),
       "its address has as many connections as max_per_ip allows");
  leave();
  stream_.end_handshake(true);
  return false;
}

void Handshake::tell(Notice what, std::error_code code, std::string_view why) noexcept try {
  if (!all_.events_.notice) return;
  all_.server_.notice(all_.loop_.index(), what, code,
                      "handshake " + remote_.network() + ' ' + local_.to_string() + "->" + remote_.to_string() + ": " +
                          std::string(why));
} catch (const std::bad_alloc&) {  // for the words
}

}  // namespace evio::internal
