#include <cerrno>

#include "../sockets.hpp"
#include "../tls.hpp"

namespace load {

Tls::Tls(int) : ssl_(nullptr) {
  errno = ENOTSUP;
  fail("--tls: built without OpenSSL");
}

// Nobody has one.
Tls::~Tls() = default;
void Tls::offer(const Session&) {}
Tls::Wants Tls::handshake() { return Wants::kNothing; }
bool Tls::resumed() const { return false; }
Tls::Session Tls::session() const { return nullptr; }
ssize_t Tls::send(std::string_view) { return -1; }
ssize_t Tls::receive(char*, std::size_t) { return -1; }
bool Tls::holds_more() const { return ssl_ != nullptr; }
void Tls::end() {}

}  // namespace load
