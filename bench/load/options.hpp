#pragma once

#include <cstddef>
#include <cstdint>

namespace load {

/// What one run of the load generator does; filled from the command line.
struct Options {
  int port = 0;
  int pid = 0;  // the server, whose CPU time and memory are read; 0: not read
  int connections = 50;
  int active = 0;  // how many of them carry messages; 0: all
  int threads = 1;
  int pipeline = 1;
  std::size_t size = 6;
  double warmup = 0.2;
  double seconds = 1;
  std::uint64_t messages = 0;
  int batch = 1;
  int replies = 1;
  bool broadcast = false;
  bool fresh = false;
  bool udp = false;
  bool tls = false;
  bool resume = false;  // connects: go on with the session of an earlier connection
  int base = 1000;
  int burst_connections = 0;
  std::size_t burst = 1 << 20;
};

/// Each prints one line of "key=value" and returns the exit status: not 0 when a byte was wrong or lost.
int run_streams(const Options& options);
int run_beside(const Options& options);
int run_connects(const Options& options);
int run_datagrams(const Options& options);
int run_lockstep(const Options& options);
int run_idle(const Options& options);
int run_slow(const Options& options);
int run_flood(const Options& options);

}  // namespace load
