// With evio::tls: see tls_absent.cpp for the opposite.
#include <gtest/gtest.h>

#include "evio/tls.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/mode.hpp"

namespace evio::test {
namespace {

struct Contexts {
  Contexts() {
    const Certificate certificate({.common_name = "localhost", .names = {"DNS:localhost", "IP:127.0.0.1", "IP:::1"}});
    const PemFolder folder;
    const std::string chain = folder.write("chain.pem", certificate.certificate_pem());
    Error err;
    server = TlsContext::load({.certificate = chain, .key = folder.write("key.pem", certificate.key_pem())}, err);
    if (!err) dial = TlsContext::load({.ca = chain}, err);
    if (err) ADD_FAILURE() << err.message();
  }
  TlsContext server;
  TlsContext dial;
};

const Contexts& contexts() {
  static const Contexts all;
  return all;
}

}  // namespace

std::vector<Mode> with_tls(std::vector<Mode> modes) {
  if (mode_set() == ModeSet::kAll) modes.push_back({Network::kTls, 1, PollerKind::kPortable});
  modes.push_back({Network::kTls, 4, PollerKind::kEpoll});
  return modes;
}

TlsContext test_tls_context() { return contexts().server; }
TlsContext test_dial_context() { return contexts().dial; }

}  // namespace evio::test
