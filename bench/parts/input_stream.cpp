#include "evio/input_stream.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

namespace {

constexpr std::size_t kLines = 64;

/// Lines of 32 bytes, cut into packets of so many.
void feed_lines(benchmark::State& state) {
  std::string text;
  for (std::size_t i = 0; i < kLines; ++i) text += std::string(31, 'x') + '\n';
  const evio::Bytes all = evio::Bytes::copy(text);
  const auto packet = static_cast<std::size_t>(state.range(0));
  evio::InputStream input;
  std::size_t lines = 0;
  for (auto _ : state) {
    for (std::size_t at = 0; at < all.size(); at += packet) {
      input.feed(all.substr(at, packet), [&](std::string_view unread) -> std::size_t {
        const std::size_t end = unread.find('\n');
        if (end == std::string_view::npos) return 0;
        ++lines;
        return end + 1;
      });
    }
  }
  if (lines != static_cast<std::size_t>(state.iterations()) * kLines) state.SkipWithError("a line was lost");
  state.SetItemsProcessed(static_cast<std::int64_t>(lines));
}
BENCHMARK(feed_lines)->Arg(2048)->Arg(32)->Arg(33)->Arg(7)->Arg(1);

/// One message of 1 MiB that comes in packets of 64 KiB.
void feed_large(benchmark::State& state) {
  constexpr std::size_t kMessage = 1024 * 1024;
  constexpr std::size_t kPacket = 64 * 1024;
  const std::string packet(kPacket, 'x');
  for (auto _ : state) {
    evio::InputStream input;
    for (std::size_t at = 0; at < kMessage; at += kPacket) {
      input.feed(packet, [](std::string_view unread) { return unread.size() < kMessage ? 0 : unread.size(); });
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kMessage));
}
BENCHMARK(feed_large);

/// begin and end, as Go's evio has them.
void begin_and_end(benchmark::State& state) {
  evio::InputStream input;
  const std::string packet(100, 'x');
  for (auto _ : state) {
    std::string_view unread = input.begin(packet);
    unread.remove_prefix(std::min<std::size_t>(unread.size(), 120));
    input.end(unread);
  }
}
BENCHMARK(begin_and_end);

}  // namespace
