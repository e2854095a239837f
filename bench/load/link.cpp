#include "link.hpp"

#include <algorithm>
#include <utility>

namespace load {

void Link::close() {
  if (tls_) tls_->end();
  tls_.reset();
  fd_.reset();
}

Link connect_link(const Options& options, std::uint64_t source, bool blocking) {
  if (!options.tls) return Link(connect_tcp(options.port, source, blocking));
  Link link(connect_tcp(options.port, source, true), true);
  if (link.handshake() != Tls::Wants::kNothing) fail("handshake");
  if (!blocking) stop_blocking(link.fd());
  return link;
}

void send_all(Link& link, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = link.send(bytes);
    if (size <= 0) fail("send");
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

bool receive_all(Link& link, std::string_view expected, std::vector<char>& buffer) {
  while (!expected.empty()) {
    const ssize_t size = link.receive(buffer.data(), std::min(buffer.size(), expected.size()));
    if (size <= 0) fail("recv");
    const std::string_view got(buffer.data(), static_cast<std::size_t>(size));
    if (!expected.starts_with(got)) return false;
    expected.remove_prefix(got.size());
  }
  return true;
}

}  // namespace load
