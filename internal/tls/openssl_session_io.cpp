#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "internal/base/assert.hpp"
#include "internal/base/syscalls.hpp"
#include "internal/tls/openssl_session.hpp"

namespace evio::internal {

namespace {

// More than two batches: what has come on top of one are answers to key updates, which a peer may ask for without end
// (RFC 8446, 4.6.3).
constexpr std::size_t kMostUnsent = 2 * Wire::kBatch;

}  // namespace

ssize_t OpensslSession::read(int fd, std::span<char> to) noexcept {
  untold_ = false;
  if (stage_ != Stage::kOpen) return nothing_read();
  Wire* const wire = Wire::begin();
  if (wire == nullptr) {
    fail(std::errc::not_enough_memory, "no memory");
    return nothing_read();
  }
  if (has_input()) {
    lend_input(*wire);
  } else if (!receive(fd, *wire, to.size())) {
    return nothing_read();
  }
  const std::size_t n = decrypt(*wire, to);
  wants_input_ = wants_input_ && SSL_in_init(ssl_.get()) != 0;
  if (!keep_input(*wire)) return nothing_read();
  transmit(fd, *wire);  // answers to key updates; an error is write()'s, or the next read's
  if (n == 0) return nothing_read();
  untold_ = stage_ != Stage::kOpen;
  return static_cast<ssize_t>(n);
}

bool OpensslSession::has_input() const noexcept { return untold_ || input_read_ < input_.size() || holds_input_; }

void OpensslSession::lend_input(Wire& wire) noexcept { wire.input = std::string_view(input_).substr(input_read_); }

bool OpensslSession::keep_input(Wire& wire) noexcept {
  if (wire.input.empty()) {
    if (!input_.empty()) std::string().swap(input_);
    input_read_ = 0;
    return true;
  }
  if (!input_.empty()) {  // it was lent, and this is the end of it
    input_read_ = input_.size() - wire.input.size();
    return true;
  }
  try {
    input_ = wire.input;
    return true;
  } catch (const std::bad_alloc&) {
    fail(std::errc::not_enough_memory, "no memory");
    return false;
  }
}

bool OpensslSession::receive(int fd, Wire& wire, std::size_t at_most) noexcept {
  const ssize_t n = wire.receive(fd, at_most);
  if (n > 0) return true;
  if (n == 0) {
    fail(std::errc::protocol_error, "truncated: the peer has ended the stream without close_notify");
    stage_ = Stage::kTruncated;
  } else if (!sys::would_block(errno)) {
    fail_with_system_error();
  }
  return false;
}

/// Until `to` is full or OpenSSL has read all input. Returns how many bytes there are in `to`.
std::size_t OpensslSession::decrypt(const Wire& wire, std::span<char> to) noexcept {
  std::size_t filled = 0;
  holds_input_ = false;
  do {
    clear_openssl_errors();
    std::size_t n = 0;
    const int result = SSL_read_ex(ssl_.get(), to.data() + filled, to.size() - filled, &n);
    if (result != 1) {
      reading_failed(SSL_get_error(ssl_.get(), result));
      holds_input_ = false;  // a part of a record, at most
      break;
    }
    filled += n;
    // Without either there is nothing left to be read.
    holds_input_ = SSL_has_pending(ssl_.get()) == 1;
  } while (filled < to.size() && (!wire.input.empty() || holds_input_));
  return filled;
}

void OpensslSession::reading_failed(int error) noexcept {
  if (error == SSL_ERROR_WANT_READ) return;
  if (error == SSL_ERROR_ZERO_RETURN) {
    stage_ = Stage::kEnded;
  } else {
    fail_with_openssl_error();
  }
}

/// What read() returns where there are no bytes.
ssize_t OpensslSession::nothing_read() noexcept {
  switch (stage_) {
    case Stage::kEnded:
      return 0;
    case Stage::kTruncated:
      errno = EPROTO;
      break;
    case Stage::kFailed:
      errno = errno_of_failure();
      break;
    default:
      errno = EAGAIN;
  }
  return -1;
}

ssize_t OpensslSession::write(int fd, std::span<const iovec> parts) noexcept {
  constexpr int kBatches = 2;  // each one send(2)
  EVIO_ASSERT(!output_ended_);
  int error = 0;
  if (stage_ == Stage::kFailed) {
    error = errno_of_failure();
  } else if (write_error_ != 0) {
    error = write_error_;
  } else if (flush(fd) != 0) {
    error = errno;
  } else {
    // All that was encrypted is with the socket: the rest was not.
    for (int i = 0; i < kBatches && error == 0; ++i) {
      IovecCursor from(parts);
      from.skip(completed_);
      if (from.at_end()) break;
      Wire* const wire = Wire::begin();
      if (wire == nullptr) {
        fail(std::errc::not_enough_memory, "no memory");
        error = ENOMEM;
        break;
      }
      const bool encrypted = encrypt(from, *wire);
      if (!transmit(fd, *wire)) error = errno;
      if (!encrypted) error = stage_ == Stage::kFailed ? errno_of_failure() : EAGAIN;
    }
  }
  if (completed_ != 0) return static_cast<ssize_t>(std::exchange(completed_, 0));
  if (error == 0) return 0;  // `parts` have no bytes
  errno = error;
  return -1;
}

/// Makes records of a batch of bytes. False: it has failed, or OpenSSL must first read the rest of a message.
bool OpensslSession::encrypt(IovecCursor& from, Wire& wire) noexcept {
  while (wire.plain < Wire::kBatch && !from.at_end()) {
    const std::string_view record = from.peek(Wire::kRecord, wire.scratch());
    std::size_t n = 0;
    clear_openssl_errors();
    const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &n);
    if (result != 1) {
      wants_input_ = SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
      if (!wants_input_) fail_with_openssl_error();
      return false;
    }
    if (!wire.end_record(n)) {
      fail(std::errc::not_enough_memory, "no memory");
      return false;
    }
    from.skip(n);
  }
  return true;
}

/// Sends the records of this call, behind those of earlier ones. False, with errno: the socket has not taken all.
bool OpensslSession::transmit(int fd, Wire& wire) noexcept {
  if (wire.output.empty()) return true;
  std::size_t sent = 0;
  if (!unsent_) {
    const ssize_t n = sys::send(fd, wire.output.data(), wire.output.size(), MSG_NOSIGNAL);
    if (n < 0 && !sys::would_block(errno)) {
      write_error_ = errno;
      return false;
    }
    sent = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
    for (const RecordEnd& record : wire.records) completed_ += record.at <= sent ? record.plain : 0;
    if (sent == wire.output.size()) return true;
  }
  const bool was_unsent = unsent_ != nullptr;
  if (!keep_unsent(wire, sent)) {
    errno = ENOMEM;
    return false;
  }
  if (was_unsent) return flush(fd) == 0;
  errno = EAGAIN;
  return false;
}

bool OpensslSession::keep_unsent(const Wire& wire, std::size_t sent) noexcept {
  if (unsent_ && unsent_->bytes().size() > kMostUnsent) {
    fail(std::errc::protocol_error, "the peer does not read what it asks for: key updates");
    return false;
  }
  try {
    if (!unsent_) unsent_ = std::make_unique<UnsentRecords>();
    unsent_->add(std::string_view(wire.output.data(), wire.output.size()).substr(sent), wire.records, sent);
    return true;
  } catch (const std::bad_alloc&) {  // the peer could not decrypt what comes after a gap
    fail(std::errc::not_enough_memory, "no memory");
    return false;
  }
}

int OpensslSession::flush(int fd) noexcept {
  while (unsent_) {
    const std::string_view bytes = unsent_->bytes();
    const ssize_t n = sys::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) return -1;
    completed_ += unsent_->taken(static_cast<std::size_t>(n));
    if (static_cast<std::size_t>(n) == bytes.size()) {
      unsent_.reset();
    } else {
      errno = EAGAIN;
      return -1;
    }
  }
  return 0;
}

int OpensslSession::end_output(int fd) noexcept {
  if (output_ended_ || stage_ == Stage::kHandshake || stage_ == Stage::kFailed) return flush(fd);
  if (write_error_ != 0) {
    errno = write_error_;
    return -1;
  }
  Wire* const wire = Wire::begin();
  if (wire == nullptr) {
    errno = ENOMEM;
    return -1;
  }
  clear_openssl_errors();
  if (SSL_shutdown(ssl_.get()) < 0) fail_with_openssl_error();
  const bool sent = transmit(fd, *wire);
  output_ended_ = true;
  if (stage_ == Stage::kFailed) errno = errno_of_failure();
  return sent && stage_ != Stage::kFailed ? 0 : -1;
}

}  // namespace evio::internal
