#include "tests/support/mode.hpp"

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <utility>

namespace evio::test {
namespace {

constexpr int kEveryProcessor = -1;

std::vector<Mode> combine(const std::vector<Network>& networks, const std::vector<int>& loops) {
  std::vector<Mode> modes;
  for (const Network network : networks) {
    for (const int n : loops) {
      modes.push_back({network, n, PollerKind::kEpoll});
      modes.push_back({network, n, PollerKind::kPortable});
    }
  }
  return modes;
}

// Two or three modes in which each network, each poller, the fewest and the most loops occur.
std::vector<Mode> represent(const std::vector<Network>& networks, const std::vector<int>& loops) {
  std::vector<Mode> modes = {{networks.front(), loops.back(), PollerKind::kEpoll},
                             {networks.back(), loops.front(), PollerKind::kPortable}};
  if (networks.size() > 1 && loops.size() > 1) modes.push_back({networks.front(), loops.front(), PollerKind::kEpoll});
  return modes;
}

std::vector<Mode> choose(const std::vector<Network>& networks, std::vector<int> loops) {
  const ModeSet set = mode_set();
  if (set == ModeSet::kAll) return combine(networks, loops);
  const bool every_processor = loops.size() > 1 && loops.back() == kEveryProcessor;
  if (every_processor) loops.pop_back();
  std::vector<Mode> modes = represent(networks, loops);
  if (every_processor && set == ModeSet::kMore) {
    modes.push_back({networks.back(), kEveryProcessor, PollerKind::kEpoll});
  }
  return modes;
}

}  // namespace

std::string_view Mode::network_name() const {
  switch (network) {
    case Network::kTcp:
      return "tcp";
    case Network::kUnix:
      return "unix";
    case Network::kTls:
      break;
  }
  return "tls";
}

std::string Mode::scheme() const {
  return std::string(network_name()) + (poller == PollerKind::kPortable ? "-net" : "");
}

std::string Mode::name() const {
  return std::string(network_name()) + '_' + (loops < 0 ? "N" : std::to_string(loops)) +
         (loops == 1 ? "loop" : "loops") + (poller == PollerKind::kPortable ? "_portable" : "_epoll");
}

ModeSet mode_set() {
  const char* value = std::getenv("EVIO_TEST_MODES");
  const std::string_view name = value == nullptr ? "" : value;
  if (name.empty()) return ModeSet::kDefault;
  if (name == "more") return ModeSet::kMore;
  if (name == "all") return ModeSet::kAll;
  std::fprintf(stderr, "EVIO_TEST_MODES is \"%s\"; it may be \"more\" or \"all\"\n", value);
  std::exit(2);
}

std::vector<Mode> all_modes() { return modes_of({1, 4, kEveryProcessor}); }
std::vector<Mode> modes_of(Network network) { return modes_of(network, {1, 4, kEveryProcessor}); }
std::vector<Mode> modes_of(std::vector<int> loops) { return choose({Network::kTcp, Network::kUnix}, std::move(loops)); }
std::vector<Mode> modes_of(Network network, std::vector<int> loops) { return choose({network}, std::move(loops)); }

std::ostream& operator<<(std::ostream& out, const Mode& mode) { return out << mode.name(); }

}  // namespace evio::test
