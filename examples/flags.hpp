#pragma once

#include <memory>
#include <string>
#include <vector>

namespace examples {

/// The help for -stdlib: in Go it selects package net instead of epoll.
inline constexpr const char* kStdlibHelp = "use poll(2) instead of epoll(7)";

/// A command line parsed like Go's flag package, so that scripts written for evio's examples in Go keep working: one
/// dash or two, `-port 5000` and `--port=5000`, `--noparse=false`. The first argument that is not a flag, and all after
/// it, are the program's arguments.
class Flags {
 public:
  explicit Flags(const std::string& program);
  ~Flags();

  /// Adds a flag: a bool, an int, a double or a string. The current value of `target` is its default.
  template <class T>
  Flags& add(const std::string& name, T& target, const std::string& help);

  /// Sets the target of every flag, or calls fail(). --help prints the usage and exits with 0; throws if stdout cannot
  /// be written. Returns the arguments, which most programs ignore.
  std::vector<std::string> parse(int argc, const char* const* argv);

  /// Prints the mistake and the usage to stderr, and exits with 2.
  [[noreturn]] void fail(const std::string& mistake);

 private:
  class Parser;  // cxxopts takes long to compile
  std::unique_ptr<Parser> parser_;
};

}  // namespace examples
