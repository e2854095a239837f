#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "evio/events.hpp"
#include "evio/tls.hpp"

namespace evio::test {

enum class Network { kTcp, kUnix, kTls };
enum class PollerKind { kEpoll, kPortable };

/// What a guarantee must hold for: a network, a number of loops (-1: one for each processor), a poller.
struct Mode {
  Network network = Network::kTcp;
  int loops = 1;
  PollerKind poller = PollerKind::kEpoll;

  /// TLS is over TCP.
  bool is_tcp() const { return network != Network::kUnix; }
  bool is_tls() const { return network == Network::kTls; }
  /// "tcp", "tcp-net", "unix", "unix-net", "tls", "tls-net".
  std::string scheme() const;
  std::string_view network_name() const;
  /// "tcp_4loops_epoll".
  std::string name() const;
};

/// How many modes the tests run in, by the environment variable EVIO_TEST_MODES: when it is not set, two or three in
/// which each network, each poller, one loop and four occur; "more": one with a loop for each processor, too; "all":
/// every one.
enum class ModeSet { kDefault, kMore, kAll };
ModeSet mode_set();

/// Of tcp and unix, 1, 4 and -1 loops, every poller: those that mode_set() names.
std::vector<Mode> all_modes();
/// The same for one network, or for these numbers of loops, fewest first. Never empty.
std::vector<Mode> modes_of(Network network);
std::vector<Mode> modes_of(std::vector<int> loops);
std::vector<Mode> modes_of(Network network, std::vector<int> loops);

/// The same modes, and of tls one with four loops; with "all", one with one loop and the portable poller, too. Without
/// evio::tls the same alone.
std::vector<Mode> with_tls(std::vector<Mode> modes);
/// What servers of a test use, made once: a certificate for "localhost" and 127.0.0.1, signed by itself. Of nothing
/// without evio::tls.
TlsContext test_tls_context();
/// To dial them with: it trusts that certificate.
TlsContext test_dial_context();

struct ModeName {
  std::string operator()(const testing::TestParamInfo<Mode>& info) const { return info.param.name(); }
};

std::ostream& operator<<(std::ostream& out, const Mode& mode);

}  // namespace evio::test

/// Runs all tests of a fixture in these modes: EVIO_INSTANTIATE(OrderTest, all_modes());
#define EVIO_INSTANTIATE(fixture, modes) \
  INSTANTIATE_TEST_SUITE_P(, fixture, testing::ValuesIn(modes), evio::test::ModeName())
