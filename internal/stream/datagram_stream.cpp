#include "internal/stream/datagram_stream.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <utility>

#include "evio/detail/share_policy.hpp"
#include "internal/buffer/bytes_access.hpp"
#include "internal/buffer/output_access.hpp"
#include "internal/stream/stream_host.hpp"

namespace evio::internal {
namespace {

// So many datagrams of one connection are read, or written, before others get their turn.
constexpr int kDatagramsAtOnce = 32;
// A receive buffer holds fewer: the kernel counts 768 bytes, at least, for each of them.
constexpr int kMostReceived = 1024;
// Over IPv6 (RFC 768: the length has 16 bits, and 8 bytes are the header's); 20 fewer over IPv4.
constexpr std::size_t kLongest = 65'527;
// An Output of that size has fewer pieces: those that it shares have kShareInOutput bytes.
constexpr std::size_t kMostParts = 2 * (kLongest / kShareInOutput) + 1;

// Errors of one datagram, not of the connection. EMSGSIZE also says that a router has found one too long: those that
// follow are fragmented (ip(7), IP_MTU_DISCOVER).
bool is_of_one_datagram(int err) noexcept { return err == EMSGSIZE || err == ENOBUFS || err == ENOMEM || err == EPERM; }

Error datagram_error(const Endpoint& endpoint, std::string_view call, int err) {
  const std::error_code code(err, std::system_category());
  return Error(code, std::string(call) + ' ' + endpoint.describe() + ": " + code.message());
}

}  // namespace

// It always leaves the path of messages: only_reads() is false, and its output is announced, whether there is a
// pre_write or not. There is no peer to linger for.
DatagramStream::DatagramStream(std::uint64_t id, StreamHost& host, RefPtr<NoteQueue> queue)
    : Stream(id, host, std::move(queue), true) {
  static_assert(sizeof(DatagramStream) == sizeof(Stream), "they share their memory: see Recycled");
  datagrams_ = peer_gone_ = true;
  state_.output = kIndirect;
  extras_->datagrams = std::make_unique<DatagramExtras>();
}

bool DatagramStream::send(Bytes bytes) {
  const std::size_t size = bytes.size();
  if (size < kShareInRequest) return send_copy(bytes.view());
  if (size > kLongest) return refuse_too_long();
  BytesAccess::compact(bytes);
  return add(Request::share(std::move(bytes), queue().blocks()), size);
}

bool DatagramStream::send_copy(std::string_view bytes) {
  if (bytes.size() > kLongest) return refuse_too_long();
  const std::string_view text = bytes.empty() ? "" : bytes;  // memcpy(3) takes no null pointer
  return add(Request::copy(text, queue().blocks()), text.size());
}

bool DatagramStream::refuse_too_long() noexcept {
  queue().figures().count_datagrams(0, 1);
  return false;
}

// Not into the outbox, which joins the texts of one connection.
bool DatagramStream::add(Request* request, std::size_t size) noexcept {
  if (!on_loop()) return add_bytes(request, size);
  if (!requests_.refuses_output()) return add_own_bytes(request, size);
  if (request != nullptr) request->destroy();
  return false;
}

// Options that are of streams alone. It reads on while output waits.
void DatagramStream::ignore_flow(Options& options) noexcept {
  options.high_water = options.low_water = options.max_pending = 0;
  options.read_while_pending = true;
  options.half_open = false;
}

Stream::Step DatagramStream::read() {
  for (int left = kDatagramsAtOnce;;) {
    const std::span<char> room = host_.input_.room();
    static_assert(ReadBuffer::kSize / 4 > kLongest, "no datagram is cut short");
    const ssize_t n = transport_.receive(room);
    if (n < 0) return no_datagram(errno);
    host_.figures_.datagrams_read.add(1);
    const Step next = deliver(host_, host_.input_.filled(room.data(), static_cast<std::size_t>(n), reuses_input_));
    if (next != Step::kWait || --left == 0 || !may_read_on()) return next;
  }
}

// What others have asked meanwhile comes first, in the next turn.
bool DatagramStream::may_read_on() const noexcept {
  return !is_closing() && may_read() && !has_requests() && !host_.loop_.shutting_down();
}

Stream::Step DatagramStream::no_datagram(int err) {
  if (sys::would_block(err) || is_of_one_datagram(err)) return next_step();
  fail(datagram_error(*this, "read", err));
  return Step::kSalvage;
}

// The socket has failed: what had come before that is still delivered, and nothing is answered. The error comes before
// it, and the next read is without.
Stream::Step DatagramStream::salvage() {
  drop_pending();
  host_.current_ = this;
  for (int left = kMostReceived; left != 0 && !is_closing() && !host_.loop_.shutting_down(); --left) {
    const std::span<char> room = host_.input_.room();
    const ssize_t n = transport_.receive(room);
    if (n < 0) break;
    host_.figures_.datagrams_read.add(1);
    try {
      record(host_.call_data(handle(), host_.input_.filled(room.data(), static_cast<std::size_t>(n), reuses_input_)));
    } catch (...) {
      record(Action::Close);
    }
    host_.out_.clear();
    host_.input_.done();
  }
  host_.current_ = nullptr;
  return Step::kClose;
}

// As Stream::move_requested_output(). Throws std::bad_alloc.
void DatagramStream::send_requested(int most) {
  if (!may_move_request()) return;
  const bool may_leave = host_.call_pre_write();
  const bool up_to_wake = wake_due_ && !is_closing();
  BlockPool::Returned returned(queue().blocks());
  requested_.take_while(most, [&](Request& request) {
    if (!request.is_bytes() || (up_to_wake && request.after_wake)) return false;
    if (may_leave) {
      send_one(request);
    } else {
      pending_bytes_.remove(request.text().size());
    }
    request.recycle(returned);
    return true;
  });
  bring_up_requests();
}

void DatagramStream::send_one(const Request& request) {
  const std::string_view text = request.text();
  iovec part{const_cast<char*>(text.data()), text.size()};
  if (has_pending() || !hand_over({&part, 1}, text.size())) keep(request);
}

// What a callback returned, which is counted as pending. Throws std::bad_alloc.
Stream::Step DatagramStream::write_output() {
  Output& out = host_.out_;
  const std::size_t size = out.size();
  if (size > kLongest) {
    lose(EMSGSIZE);
    pending_bytes_.remove(size);
    out.clear();
    return Step::kWait;
  }
  std::array<iovec, kMostParts> parts;
  const auto count = static_cast<std::size_t>(OutputAccess::gather(out, parts));
  if (!has_pending() && hand_over(std::span(parts).first(count), size)) {
    out.clear();
    return Step::kWait;
  }
  extras_->datagrams->sizes.push_back(size);
  keep_pending(0);
  extras_->tried = true;
  return Step::kWait;
}

// Gives one datagram to the kernel, or loses it: then it is pending no more. False when the socket is full.
// Throws std::bad_alloc, for the error.
bool DatagramStream::hand_over(std::span<iovec> parts, std::size_t size) {
  if (!extras_->datagrams->failed) {
    const ssize_t n = transport_.send_datagram(parts);
    const int err = errno;
    if (n < 0 && sys::would_block(err)) return false;
    if (n >= 0) {
      host_.figures_.count_datagrams(1, 0);
    } else {
      lose(err);
      if (!is_of_one_datagram(err)) {
        extras_->datagrams->failed = true;
        fail(datagram_error(*this, "write", err));
      }
    }
  }
  pending_bytes_.remove(size);
  output_progressed();
  return true;
}

// Until the socket has room. Throws std::bad_alloc.
void DatagramStream::keep(const Request& request) {
  OutputQueue& waiting = pending();
  const std::size_t size = request.text().size();
  std::deque<std::size_t>& sizes = extras_->datagrams->sizes;
  sizes.push_back(size);
  try {
    if (request.is_copied()) {
      waiting.add_copy(request.text());
    } else {
      waiting.add(std::get<Bytes>(request.what));
    }
  } catch (...) {
    sizes.pop_back();
    throw;
  }
  host_.figures_.pending.add(size);
  extras_->tried = true;
}

// As Stream::write_pending(): kWait.
Stream::Step DatagramStream::write_waiting(bool& progressed) {
  OutputQueue& output = *extras_->output;
  std::deque<std::size_t>& sizes = extras_->datagrams->sizes;
  for (int left = kDatagramsAtOnce; !sizes.empty() && left != 0; --left) {
    OutputQueue::Batch batch;
    output.gather(batch);
    std::size_t rest = sizes.front();
    std::size_t count = 0;
    for (; rest != 0; ++count) {
      EVIO_ASSERT(count != batch.count);
      iovec& part = batch.parts[count];
      part.iov_len = std::min(part.iov_len, rest);
      rest -= part.iov_len;
    }
    if (!hand_over(batch.span().first(count), sizes.front())) break;
    output.remove(sizes.front());
    host_.figures_.pending.subtract(sizes.front());
    sizes.pop_front();
    progressed = true;
  }
  extras_->tried = true;
  if (sizes.empty()) drop_pending();
  return Step::kWait;
}

void DatagramStream::lose(int err) noexcept {
  host_.figures_.count_datagrams(0, 1);
  extras_->datagrams->lost = err;
}

Stream::Step DatagramStream::after_sending() {
  if (const int err = std::exchange(extras_->datagrams->lost, 0); err != 0 && host_.events_.notice) {
    const std::error_code code(err, std::system_category());
    host_.server_.notice(host_.loop_.index(), Notice::DatagramFailed, code,
                         "sendmsg " + describe() + ": " + code.message());
  }
  return extras_->datagrams->failed && !is_closing() ? Step::kSalvage : Step::kWait;
}

}  // namespace evio::internal
