#pragma once

#include <cstdint>

#include "latency.hpp"

namespace load {

/// What was measured between two moments.
struct Result {
  std::uint64_t messages = 0;
  std::uint64_t lost = 0;
  std::uint64_t blocks = 0;   // messages of connections beside those that are measured
  std::uint64_t resumed = 0;  // TLS sessions
  Latency latency;

  void merge(const Result& other) {
    messages += other.messages;
    lost += other.lost;
    blocks += other.blocks;
    resumed += other.resumed;
    latency.merge(other.latency);
  }
};

/// When messages count. Set once, then read by all threads.
struct Window {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool holds(std::int64_t moment) const { return moment >= begin && moment < end; }
};

void print(const Result& result, double seconds, std::uint64_t cpu_nanoseconds);

}  // namespace load
