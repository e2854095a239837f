/// The path of every message: it is read, a callback answers, the socket takes the answer whole, and the connection
/// waits for more. on_ready() is compiled as one function, for calling each of these would cost more than what it does;
/// what leaves the path is in stream_slow.cpp.
#include "internal/buffer/output_access.hpp"
#include "internal/stream/stream.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {

[[gnu::flatten]] void Stream::on_ready() noexcept {
  EVIO_ASSERT(on_loop());
  StreamHost& host = host_;
  Step step = Step::kRead;
  if (!state_.only_reads() || !requests_.open_and_empty(requested_)) [[unlikely]]
    step = first_step();
  if (step == Step::kRead) [[likely]] {
    try {
      step = read(host);
    } catch (...) {
      step = out_of_memory();
    }
  }
  run(step);
}

// A connection with timeouts takes the same path, but for this.
inline Stream::Step Stream::first_step() noexcept {
  if (!state_.only_reads_timed() || !requests_.open_and_empty(requested_)) return Step::kReady;
  timeouts_->progress = host_.loop_.turn_time();
  return Step::kRead;
}

Stream::Step Stream::read(StreamHost& host) {
  const std::span<char> room = host.input_.room();
  ssize_t n = transport_.read_once(room.data(), room.size());
  if (static_cast<std::size_t>(n) - 1 >= kMuch - 1) [[unlikely]] {  // one comparison for both
    if (n <= 0) return read_nothing(n);
    n = moved_much(n);
  }
  host.figures_.count_read(static_cast<std::size_t>(n));
  return deliver(host, host.input_.filled(room.data(), static_cast<std::size_t>(n), reuses_input_));
}

Stream::Step Stream::deliver(StreamHost& host, const Bytes& in) {
  EVIO_ASSERT(host.out_.empty());
  host.current_ = this;
  Action action = Action::None;
  try {
    action = host.call_data(handle(), in);
  } catch (...) {
    return callback_threw();
  }
  host.input_.done();
  return finish_callback(host, action);
}

// Its output first, then its action.
Stream::Step Stream::finish_callback(StreamHost& host, Action action) {
  host.current_ = nullptr;
  Step next = Step::kWait;
  try {
    next = transmit(host);
  } catch (...) {
    next = out_of_memory();
  }
  if (action != Action::None) [[unlikely]]
    record(action);
  return next == Step::kWait ? next_step() : next;
}

Stream::Step Stream::transmit(StreamHost& host) {
  Output& out = host.out_;
  if (!OutputAccess::is_one_copy(out) || (state_.output & ~kTimeouts) != 0) [[unlikely]]
    return transmit_slow();
  const std::string_view bytes = OutputAccess::copied(out);
  if (bytes.empty()) return Step::kWait;
  const ssize_t n = transport_.write_once(bytes.data(), bytes.size());
  if (n != static_cast<ssize_t>(bytes.size())) [[unlikely]]
    return keep_output(n);
  host.figures_.count_write(bytes.size());
  if (OutputAccess::reset_copied(out)) [[unlikely]]
    host.shrink_output();
  return Step::kWait;
}

// Callbacks may assign to the handle or move it away: it is not the loop's own reference.
Conn& Stream::handle() noexcept {
  if (EndpointAccess::endpoint(handle_) != this) [[unlikely]]
    renew_handle();
  return handle_;
}

}  // namespace evio::internal
