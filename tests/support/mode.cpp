#include "tests/support/mode.hpp"

#include <ostream>
#include <utility>

namespace evio::test {
namespace {

// Whether the tests run on the portable poller too.
constexpr bool kTestPortablePoller = true;

std::vector<Mode> combine(const std::vector<Network>& networks, const std::vector<int>& loops) {
  std::vector<Mode> modes;
  for (const Network network : networks) {
    for (const int n : loops) {
      modes.push_back({network, n, PollerKind::kEpoll});
      if (kTestPortablePoller) modes.push_back({network, n, PollerKind::kPortable});
    }
  }
  return modes;
}

}  // namespace

std::string Mode::scheme() const {
  return std::string(is_tcp() ? "tcp" : "unix") + (poller == PollerKind::kPortable ? "-net" : "");
}

std::string Mode::name() const {
  return std::string(is_tcp() ? "tcp_" : "unix_") + (loops < 0 ? "N" : std::to_string(loops)) +
         (loops == 1 ? "loop" : "loops") + (poller == PollerKind::kPortable ? "_portable" : "_epoll");
}

std::vector<Mode> all_modes() { return combine({Network::kTcp, Network::kUnix}, {1, 4, -1}); }
std::vector<Mode> modes_of(Network network) { return combine({network}, {1, 4, -1}); }
std::vector<Mode> modes_of(std::vector<int> loops) { return combine({Network::kTcp, Network::kUnix}, loops); }
std::vector<Mode> modes_of(Network network, std::vector<int> loops) { return combine({network}, loops); }

std::ostream& operator<<(std::ostream& out, const Mode& mode) { return out << mode.name(); }

}  // namespace evio::test
