#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cxxopts.hpp>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "examples/program.hpp"

namespace examples {

/// A command line with the habits of Go's flag package, so that scripts written for evio's examples go on working:
/// one dash or two, `-port 5000` and `--port=5000`, `--noparse=false`, and whatever stands behind the first argument
/// that is no flag is ignored.
class Flags {
 public:
  explicit Flags(const std::string& program) : options_(program) {}

  /// A flag; what `target` holds now is its default.
  template <class T>
  Flags& add(const std::string& name, T& target, const std::string& help) {
    constexpr bool kBoolean = std::is_same_v<T, bool>;
    auto value = cxxopts::value<T>(target);
    if constexpr (kBoolean) {
      value->default_value(target ? "true" : "false");
    } else if constexpr (std::is_arithmetic_v<T>) {
      value->default_value(std::to_string(target));
    } else {
      value->default_value(target);
    }
    options_.add_options()(name, help, std::move(value));
    boolean_.emplace(name, kBoolean);
    return *this;
  }

  /// Sets every flag's target; fails when there is a mistake. --help prints the usage and exits with 0; throws when
  /// stdout does not take it.
  void parse(int argc, const char* const* argv) {
    std::vector<std::string> args{""};
    for (int i = 1; i < argc; ++i) {
      const std::string_view arg = argv[i];
      if (arg.size() < 2 || arg.front() != '-' || arg == "--") break;
      args.push_back(normalize(arg, i + 1 < argc ? argv[i + 1] : nullptr, i));
    }
    apply(args);
  }

  /// Tells a mistake on stderr, with the usage, and exits with 2.
  [[noreturn]] void fail(const std::string& mistake) {
    log(mistake + '\n' + usage());
    std::exit(2);
  }

 private:
  // --name=value, from any of the forms Go takes. Moves i on when the value is the next argument.
  std::string normalize(std::string_view arg, const char* next, int& i) {
    std::string_view flag = arg.substr(arg.starts_with("--") ? 2 : 1);
    const std::size_t equals = flag.find('=');
    const std::string name(flag.substr(0, equals));
    if (name.empty() || name.front() == '-') fail("bad flag syntax: " + std::string(arg));
    if (name == "help" || name == "h") print_help();
    const auto known = boolean_.find(name);
    if (known == boolean_.end()) fail("flag provided but not defined: -" + name);

    std::string value = known->second ? "true" : "";
    if (equals != std::string_view::npos) {
      value = flag.substr(equals + 1);
    } else if (!known->second) {
      if (next == nullptr) fail("flag needs an argument: -" + name);
      value = next;
      ++i;
    }
    if (value == "TRUE" || value == "FALSE") value = value == "TRUE" ? "true" : "false";  // Go's, unknown to cxxopts
    return check(name, value);
  }

  // Parsed alone first: cxxopts does not tell which flag a bad value was for.
  std::string check(const std::string& name, const std::string& value) {
    std::string arg = "--" + name + "=" + value;
    try {
      apply({"", arg});
    } catch (const cxxopts::exceptions::exception&) {
      fail(boolean_.at(name) ? "invalid boolean value \"" + value + "\" for -" + name + ": parse error"
                             : "invalid value \"" + value + "\" for flag -" + name + ": parse error");
    }
    return arg;
  }

  void apply(const std::vector<std::string>& args) {
    std::vector<const char*> pointers;
    for (const std::string& arg : args) pointers.push_back(arg.c_str());
    options_.parse(static_cast<int>(pointers.size()), pointers.data());
  }

  std::string usage() const {
    std::string lines = options_.help();
    lines.pop_back();  // the last end of a line, which is added when they are printed
    return lines;
  }

  [[noreturn]] void print_help() {
    if (std::puts(usage().c_str()) < 0 || std::fflush(stdout) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot print the help");
    }
    std::exit(EXIT_SUCCESS);
  }

  cxxopts::Options options_;
  std::map<std::string, bool> boolean_;  // by name: whether a flag goes without a value
};

}  // namespace examples
