#include "evio/bytes.hpp"

#include <benchmark/benchmark.h>

#include <string>

namespace {

void copy_bytes(benchmark::State& state) {
  const std::string text(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(evio::Bytes::copy(text));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(copy_bytes)->Arg(6)->Arg(1024)->Arg(64 * 1024);

void take_string_over(benchmark::State& state) {
  for (auto _ : state) {
    std::string text(static_cast<std::size_t>(state.range(0)), 'x');
    benchmark::DoNotOptimize(evio::Bytes(std::move(text)));
  }
}
BENCHMARK(take_string_over)->Arg(6)->Arg(64 * 1024);

/// What keeping `in` costs.
void share(benchmark::State& state) {
  const evio::Bytes bytes = evio::Bytes::copy("hello world, this is too long for a small string");
  for (auto _ : state) benchmark::DoNotOptimize(evio::Bytes(bytes));
}
BENCHMARK(share);

void substr(benchmark::State& state) {
  const evio::Bytes bytes = evio::Bytes::copy("hello world, this is too long for a small string");
  for (auto _ : state) benchmark::DoNotOptimize(bytes.substr(6, 5));
}
BENCHMARK(substr);

void literal(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(evio::Bytes::literal("hello"));
}
BENCHMARK(literal);

}  // namespace
