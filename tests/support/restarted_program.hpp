#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/sync.hpp"

namespace evio::test {

/// examples/restart, and those that take its place one after the other. All write to one stream. At the end the last
/// one is ended, and each must have ended by then. Thread-safety: one thread.
class RestartedProgram {
 public:
  explicit RestartedProgram(const std::vector<std::string>& args) : program_(EVIO_EXAMPLES_DIR "/restart", args) {
    wait_for_next();
  }
  ~RestartedProgram() {
    ::kill(pids_.back(), SIGTERM);
    EXPECT_EQ(program_.wait(), 0) << program_.written();  // when the last of them has closed the stream
  }
  RestartedProgram(const RestartedProgram&) = delete;
  RestartedProgram& operator=(const RestartedProgram&) = delete;

  Program& program() { return program_; }
  std::size_t count() const { return pids_.size(); }
  pid_t last() const { return pids_.back(); }

  /// Returns when the next one serves.
  void restart() {
    ::kill(last(), SIGHUP);
    wait_for_next();
  }
  /// Waits until the i-th has ended.
  bool has_ended(std::size_t i) const {
    return eventually([&] { return is_over(pids_[i]); });
  }

 private:
  // Gone, or a zombie that nobody has waited for: the first is this process's child, the others are init's.
  static bool is_over(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(") ");  // proc_pid_stat(5): the state follows the name
    return name_end == std::string::npos || text[name_end + 2] == 'Z';
  }
  void wait_for_next() {
    constexpr std::string_view kBefore = "restart server ";
    ASSERT_TRUE(program_.writes(" (loops: ", pids_.size() + 1)) << program_.written();
    const std::size_t found = program_.written().rfind(kBefore);
    pids_.push_back(std::atoi(program_.written().c_str() + found + kBefore.size()));
  }

  Program program_;
  std::vector<pid_t> pids_;
};

}  // namespace evio::test
