#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "evio/evio.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"

namespace evio::test {

/// What the guarantee of datagrams must hold for: a scheme, and the family of the clients; a number of loops, with a
/// socket for each of them or one for all; a poller.
struct DatagramMode {
  std::string scheme = "udp";    // "udp", "udp4", "udp6"
  std::string ip = "127.0.0.1";  // where the clients reach the server
  int loops = 1;
  bool reuse_port = false;
  PollerKind poller = PollerKind::kEpoll;

  /// "udp_v4_4loops_reuseport_epoll".
  std::string name() const;
  bool is_v6() const { return ip.find(':') != std::string::npos; }
  /// The most that one datagram can hold.
  std::size_t largest() const { return is_v6() ? 65'527 : 65'507; }
};

/// Every scheme and family with one loop; 4 and -1 loops, with reuseport and without; every poller. By default four of
/// them in which each scheme, each family and each poller occurs: see mode_set().
std::vector<DatagramMode> all_datagram_modes();

struct DatagramModeName {
  std::string operator()(const testing::TestParamInfo<DatagramMode>& info) const { return info.param.name(); }
};

std::ostream& operator<<(std::ostream& out, const DatagramMode& mode);

/// A test over datagrams in every DatagramMode, that must leave nothing behind.
class DatagramTest : public ServerTest, public testing::WithParamInterface<DatagramMode> {
 protected:
  static const DatagramMode& mode() { return GetParam(); }
  /// Events with this mode's number of loops; those that datagrams have nothing to do with fail the test.
  static Events events();
  /// An address of this mode: any port of every local address, or of one.
  static std::string address(const std::string& ip = "");
  /// A client of this mode's family.
  static DatagramClient connect(const TestServer& server) { return {mode().ip, server.addr().port()}; }
  static int loops();
};

}  // namespace evio::test

/// Runs all tests of a fixture in these modes: EVIO_INSTANTIATE_DATAGRAMS(UdpSendTest, all_datagram_modes());
#define EVIO_INSTANTIATE_DATAGRAMS(fixture, modes) \
  INSTANTIATE_TEST_SUITE_P(, fixture, testing::ValuesIn(modes), evio::test::DatagramModeName())
