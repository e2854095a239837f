#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dials {

/// What one run of such a program does; from the command line.
struct Options {
  std::size_t at_once = 50;    // how many are under way
  std::size_t times = 20'000;  // how many are counted; some are made before
  bool echo = false;           // each has a message of 64 bytes echoed
  bool reset = true;           // each ends by a reset; else by close(2)
  int peer_cpu = -1;           // where the listener runs; -1: anywhere
};
Options parse(int argc, char** argv);

/// Ends the program, with errno where there is one.
[[noreturn]] void fail(const char* what);

constexpr std::string_view kMessage = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The listener, on a thread of its own, that echoes what it gets; and what the dials to it cost the loop's thread.
///
/// Of each dial a program calls next(), connects to that address with TCP_NODELAY, and, with `echo`, sends kMessage and
/// waits until it is back. Then it closes the socket as `reset` says and calls end(). The dials go to many addresses
/// of the loopback in turn, so that ports do not run out and no socket need be bound.
/// Thread-safety: the loop's thread.
class Run {
 public:
  static constexpr std::uint32_t kAddresses = 200;

  explicit Run(const Options& options);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const Options options;
  std::uint16_t port() const { return port_; }
  static std::uint32_t address(std::size_t number) { return 0x7f000001 + static_cast<std::uint32_t>(number); }

  /// Whether another one is to be made.
  bool more() const { return begun_ != kBefore + options.times; }
  /// One is about to be: to address(next()).
  std::size_t next() { return begun_++ % kAddresses; }
  /// One is over. True if it was the last.
  bool end();
  /// One line of what was measured. Ends the program.
  [[noreturn]] void print();

 private:
  static constexpr std::size_t kBefore = 1'000;  // are not counted: they bring in the memory

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
  std::int64_t cpu_ = 0;
  std::int64_t time_ = 0;
};

/// Serves the listener for ever.
void serve_peer(int listener);

}  // namespace dials
