// Without evio::tls nobody speaks TLS.
#include <cerrno>

#include "tests/support/mode.hpp"
#include "tests/support/tls_wire.hpp"

namespace evio::test {

struct TlsWire::Ssl {};
TlsWire::TlsWire(int fd, Side) : fd_(fd) {}
TlsWire::~TlsWire() = default;
std::unique_ptr<TlsWire> TlsWire::connect(int, bool) { return nullptr; }
std::unique_ptr<TlsWire> TlsWire::accept(int, bool) { return nullptr; }
ssize_t TlsWire::send(const char*, std::size_t) { return errno = ENOSYS, -1; }
ssize_t TlsWire::recv(char*, std::size_t, bool) { return errno = ENOSYS, -1; }
void TlsWire::end_output() {}
bool TlsWire::has_unsent() { return false; }
bool TlsWire::flush() { return true; }
bool TlsWire::has_input() { return ended_ || fd_ < 0; }

std::vector<Mode> with_tls(std::vector<Mode> modes) { return modes; }
TlsContext test_tls_context() { return {}; }
TlsContext test_dial_context() { return {}; }

}  // namespace evio::test
