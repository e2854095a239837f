#include "tests/support/datagram_fixture.hpp"

#include <ostream>

namespace evio::test {

std::string DatagramMode::name() const {
  return scheme + (is_v6() ? "_v6_" : "_v4_") + (loops < 0 ? "N" : std::to_string(loops)) +
         (loops == 1 ? "loop" : "loops") + (reuse_port ? "_reuseport" : "") +
         (poller == PollerKind::kPortable ? "_portable" : "_epoll");
}

std::vector<DatagramMode> all_datagram_modes() {
  std::vector<DatagramMode> modes;
  if (mode_set() != ModeSet::kAll) {
    modes = {{"udp", "127.0.0.1", 4, true, PollerKind::kEpoll},
             {"udp6", "::1", 1, false, PollerKind::kPortable},
             {"udp4", "127.0.0.1", 1, false, PollerKind::kEpoll},
             {"udp", "127.0.0.1", 4, false, PollerKind::kPortable}};
    if (mode_set() == ModeSet::kMore) modes.push_back({"udp", "127.0.0.1", -1, true, PollerKind::kEpoll});
    return modes;
  }
  for (const PollerKind poller : {PollerKind::kEpoll, PollerKind::kPortable}) {
    modes.push_back({"udp", "127.0.0.1", 1, false, poller});
    modes.push_back({"udp", "::1", 1, false, poller});
    modes.push_back({"udp4", "127.0.0.1", 1, false, poller});
    modes.push_back({"udp6", "::1", 1, false, poller});
    for (const int loops : {4, -1}) modes.push_back({"udp", "127.0.0.1", loops, true, poller});
    modes.push_back({"udp6", "::1", 4, true, poller});
    modes.push_back({"udp", "127.0.0.1", 4, false, poller});
  }
  return modes;
}

std::ostream& operator<<(std::ostream& out, const DatagramMode& mode) { return out << mode.name(); }

Events DatagramTest::events() {
  Events events;
  events.num_loops = mode().loops;
  events.opened = [](Conn&, Output&, Options&) {
    ADD_FAILURE() << "opened was called for a datagram";
    return Action::None;
  };
  events.closed = [](Conn&, const Error&) {
    ADD_FAILURE() << "closed was called for a datagram";
    return Action::None;
  };
  events.detached = [](Conn&, DetachedConn) {
    ADD_FAILURE() << "detached was called for a datagram";
    return Action::None;
  };
  return events;
}

std::string DatagramTest::address(const std::string& ip) {
  return mode().scheme + (mode().poller == PollerKind::kPortable ? "-net" : "") + "://" + ip + ":0" +
         (mode().reuse_port ? "?reuseport=true" : "");
}

int DatagramTest::loops() { return mode().loops < 0 ? processors() : mode().loops; }

}  // namespace evio::test
