#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {

/// One of the examples' programs, run in a folder of its own. What it writes to stdout and stderr is read in one
/// stream. When it still runs at the end it must end well by a signal, with nothing for a sanitizer to complain of.
/// Thread-safety: one thread at a time.
class Program {
 public:
  Program(const std::string& path, const std::vector<std::string>& args);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// The port it says it listens on, once it does; 0, and a failed test, when it does not.
  int port();
  /// A client of that port.
  Client connect();
  /// A client of the unix socket called so in its folder.
  Client connect_unix(const std::string& name);
  /// The same for a program that cannot say when it listens: tries until it does.
  Client connect_unix_unannounced(const std::string& name);

  /// Waits until it has written `text`, n times; false when it ended first.
  bool writes(std::string_view text, std::size_t n = 1);
  /// The same for what it must write: the test fails when it does not.
  bool wait_for(std::string_view text);
  /// Closes the other end of what it writes to.
  void stop_reading();
  /// All that it wrote so far.
  const std::string& written() const { return written_; }
  /// A file in its folder.
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// The memory it holds, in bytes (VmRSS, proc(5)).
  std::size_t memory() const { return figure("VmRSS:"); }
  /// The most it has ever held (VmHWM).
  std::size_t peak_memory() const { return figure("VmHWM:"); }

  pid_t pid() const noexcept { return pid_; }
  void signal(int number);
  /// Waits until it has ended; kills it when it does not. Its exit status, or 128 and the signal that ended it.
  int wait();

 private:
  std::size_t figure(std::string_view name) const;
  bool wait_for_output();
  bool read_more();

  std::string folder_;
  std::string written_;
  UniqueFd output_;
  bool at_end_ = false;
  pid_t pid_ = -1;
  int signalled_ = 0;
};

/// The same connection once more, for a thread that sends while another receives.
Client twin(const Client& client);

}  // namespace evio::test
