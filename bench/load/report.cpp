#include "report.hpp"

#include <cstdio>

namespace load {

void print(const Result& result, double seconds, std::uint64_t cpu_nanoseconds) {
  const auto messages = static_cast<double>(result.messages);
  const auto blocks = static_cast<double>(result.blocks);
  const auto cpu = static_cast<double>(cpu_nanoseconds);
  std::printf("messages=%llu rate=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f cpu_ns=%.0f lost=%llu",
              static_cast<unsigned long long>(result.messages), messages / seconds, result.latency.microseconds(0.5),
              result.latency.microseconds(0.99), result.latency.microseconds(0.999),
              messages > 0 ? cpu / messages : 0.0, static_cast<unsigned long long>(result.lost));
  std::printf(" blocks=%.0f block_ns=%.0f resumed=%llu\n", blocks / seconds, blocks > 0 ? cpu / blocks : 0.0,
              static_cast<unsigned long long>(result.resumed));
}

}  // namespace load
