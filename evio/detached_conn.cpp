#include "evio/detached_conn.hpp"

#include "internal/base/sigpipe.hpp"
#include "internal/base/syscalls.hpp"

namespace evio {

namespace sys = internal::sys;

namespace {

// The descriptor may be a pipe or a file, which send(2) refuses. write(2) has no flag against SIGPIPE, so the signal is
// blocked around it.
ssize_t write_some(int fd, std::string_view data) {
  const ssize_t n = sys::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
  if (n >= 0 || errno != ENOTSOCK) return n;
  const internal::SigpipeBlocked no_sigpipe;
  return sys::write(fd, data.data(), data.size());
}

}  // namespace

DetachedConn::~DetachedConn() {
  if (fd_ >= 0) sys::close(fd_);
}

std::size_t DetachedConn::read(std::span<char> buffer, Error& err) {
  err = {};
  const ssize_t n = sys::read(fd_, buffer.data(), buffer.size());
  if (n >= 0) return static_cast<std::size_t>(n);
  const auto code = sys::last_error();
  err = Error(code, "read detached connection: " + code.message());
  return 0;
}

std::size_t DetachedConn::write(std::string_view data, Error& err) {
  err = {};
  std::size_t written = 0;
  while (written < data.size()) {
    const ssize_t n = write_some(fd_, data.substr(written));
    if (n < 0) {
      const auto code = sys::last_error();
      err = Error(code, "write detached connection: " + code.message());
      break;
    }
    written += static_cast<std::size_t>(n);
  }
  return written;
}

Error DetachedConn::close() {
  const int result = sys::close(std::exchange(fd_, -1));
  if (result == 0) return {};
  const auto code = sys::last_error();
  return Error(code, "close detached connection: " + code.message());
}

}  // namespace evio
