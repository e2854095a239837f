#include <benchmark/benchmark.h>

#include <array>

#include "evio/addr.hpp"
#include "internal/net/address_spec.hpp"

namespace {

using evio::internal::AddressSpec;
using evio::internal::SocketAddress;

constexpr std::array kAddresses = {":5000", "tcp://localhost:5000", "tcp6://[fe80::1%lo]:5000?reuseport=true",
                                   "udp-net://127.0.0.1:0", "unix://a/path/to/socket"};

void parse(benchmark::State& state) {
  const std::string_view text = kAddresses[static_cast<std::size_t>(state.range(0))];
  for (auto _ : state) {
    AddressSpec spec;
    if (evio::internal::parse_address(text, spec)) state.SkipWithError("not an address");
    benchmark::DoNotOptimize(spec);
  }
  state.SetLabel(std::string(text));
}
BENCHMARK(parse)->DenseRange(0, kAddresses.size() - 1);

/// What each accepted connection pays for its peer's address, and what printing it costs.
void read_peer(benchmark::State& state) {
  SocketAddress peer;
  peer.v4 = {.sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  peer.size = sizeof peer.v4;
  for (auto _ : state) benchmark::DoNotOptimize(peer.to_addr(evio::internal::Network::kTcp));
}
BENCHMARK(read_peer);

void print_peer(benchmark::State& state) {
  SocketAddress peer;
  peer.v4 = {.sin_family = AF_INET, .sin_port = htons(40000), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  peer.size = sizeof peer.v4;
  const evio::Addr addr = peer.to_addr(evio::internal::Network::kTcp);
  for (auto _ : state) benchmark::DoNotOptimize(addr.to_string());
}
BENCHMARK(print_peer);

}  // namespace
