#include "internal/tls/wire.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "internal/base/syscalls.hpp"

namespace evio::internal {

namespace {

// Each record of a batch is longer than what is in it: by 22 bytes in TLS 1.3, by 85 at most before it (RFC
// 5246, 6.2.3).
constexpr std::size_t kOutput = Wire::kBatch + Wire::kRecord;

thread_local std::unique_ptr<Wire> wire_of_thread;

int bio_read(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  std::string_view& input = wire_of_thread->input;
  const std::size_t n = std::min(input.size(), static_cast<std::size_t>(std::max(size, 0)));
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(to, input.data(), n);
  input.remove_prefix(n);
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  try {
    wire_of_thread->output.insert(wire_of_thread->output.end(), from, from + std::max(size, 0));
    return size;
  } catch (const std::bad_alloc&) {
    return -1;  // no retry: the session fails
  }
}

// libssl flushes after each flight of a handshake; to all other requests 0 means that they are not known.
long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* make_method() {
  BIO_METHOD* method = or_bad_alloc(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "evio"));
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_ctrl(method, bio_ctrl);
  return method;
}

}  // namespace

Wire::Wire() : buffers_(new char[kInput + kRecord]) {
  output.reserve(kOutput);
  records.reserve(kBatch / 512 + 1);  // the shortest records that a peer may ask for (RFC 6066, 4)
}

Wire* Wire::begin() noexcept {
  if (!wire_of_thread) {
    try {
      wire_of_thread.reset(new Wire);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  wire_of_thread->clear();
  return wire_of_thread.get();
}

BIO* Wire::new_bio() {
  static BIO_METHOD* const kMethod = make_method();  // never freed: a session may outlive all statics
  BIO* bio = or_bad_alloc(BIO_new(kMethod));
  BIO_set_init(bio, 1);
  return bio;
}

ssize_t Wire::receive(int fd, std::size_t at_most) noexcept {
  const ssize_t n = sys::read(fd, buffers_.get(), std::min(at_most, kInput));
  input = {buffers_.get(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
  return n;
}

bool Wire::end_record(std::size_t of_user) noexcept {
  try {
    records.push_back({output.size(), of_user});
  } catch (const std::bad_alloc&) {
    return false;
  }
  plain += of_user;
  return true;
}

void Wire::clear() noexcept {
  input = {};
  output.clear();
  if (output.capacity() > 2 * kOutput) {  // a chain of certificates as long as none should be
    std::vector<char>().swap(output);
  }
  records.clear();
  plain = 0;
}

}  // namespace evio::internal
