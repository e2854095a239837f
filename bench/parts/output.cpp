#include "evio/output.hpp"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "internal/buffer/output_access.hpp"

namespace {

using evio::internal::OutputAccess;

void assign(benchmark::State& state) {
  evio::Output out;
  const std::string text(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    out = text;
    benchmark::DoNotOptimize(OutputAccess::copied(out));
    out.clear();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(assign)->Arg(6)->Arg(1024)->Arg(64 * 1024);

/// A reply in so many pieces, as a pipelining client gets it.
void append(benchmark::State& state) {
  evio::Output out;
  const std::string text(64, 'x');
  for (auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) out.append(text);
    benchmark::DoNotOptimize(OutputAccess::copied(out));
    out.clear();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(append)->Arg(1)->Arg(16)->Arg(256);

void push_back(benchmark::State& state) {
  evio::Output out;
  for (auto _ : state) {
    for (int i = 0; i < 64; ++i) out.push_back('x');
    benchmark::DoNotOptimize(OutputAccess::copied(out));
    out.clear();
  }
  state.SetBytesProcessed(state.iterations() * 64);
}
BENCHMARK(push_back);

/// A large value between two short lines, as redis answers GET: only shared.
void append_shared(benchmark::State& state) {
  evio::Output out;
  const evio::Bytes value(std::string(static_cast<std::size_t>(state.range(0)), 'x'));
  std::array<iovec, 8> parts;
  for (auto _ : state) {
    out.append("$65536\r\n").append(value).append("\r\n");
    benchmark::DoNotOptimize(OutputAccess::gather(out, parts));
    out.clear();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(append_shared)->Arg(64 * 1024)->Arg(1024 * 1024);

}  // namespace
