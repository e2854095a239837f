#include "examples/flags.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cxxopts.hpp>
#include <map>
#include <new>
#include <sstream>
#include <system_error>
#include <type_traits>
#include <utility>

#include "examples/program.hpp"

namespace examples {

class Flags::Parser {
 public:
  explicit Parser(const std::string& program) : options_(program) {}

  template <class T>
  void add(const std::string& name, T& target, const std::string& help) {
    constexpr bool kBoolean = std::is_same_v<T, bool>;
    auto value = cxxopts::value<T>(target);
    if constexpr (kBoolean) {
      value->default_value(target ? "true" : "false");
    } else if constexpr (std::is_floating_point_v<T>) {
      std::ostringstream text;  // std::to_string has six decimals
      text << target;
      value->default_value(text.str());
    } else if constexpr (std::is_arithmetic_v<T>) {
      value->default_value(std::to_string(target));
    } else {
      value->default_value(target);
    }
    options_.add_options()(name, help, std::move(value));
    boolean_.emplace(name, kBoolean);
  }

  std::vector<std::string> parse(int argc, const char* const* argv) {
    std::vector<std::string> args{""};
    int i = 1;
    for (; i < argc; ++i) {
      const std::string_view arg = argv[i];
      if (arg.size() < 2 || arg.front() != '-' || arg == "--") break;
      args.push_back(normalize(arg, i + 1 < argc ? argv[i + 1] : nullptr, i));
    }
    apply(args);
    if (i < argc && std::string_view(argv[i]) == "--") ++i;
    return {argv + i, argv + argc};
  }

  [[noreturn]] void fail(const std::string& mistake) {
    log(mistake + '\n' + usage());
    std::exit(2);
  }

 private:
  // Returns --name=value for any of the forms Go accepts. Increments i if the value is the next argument.
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
    if (value == "TRUE" || value == "FALSE")
      value = value == "TRUE" ? "true" : "false";  // Go accepts these, cxxopts does not
    return check(name, value);
  }

  // Parses the flag alone first: the errors of cxxopts do not say which flag had a bad value.
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

  // A stream that has run out of memory takes a number for a bad one: it is read once more, if there is memory.
  void apply(const std::vector<std::string>& args) {
    std::vector<const char*> pointers;
    for (const std::string& arg : args) pointers.push_back(arg.c_str());
    try {
      options_.parse(static_cast<int>(pointers.size()), pointers.data());
    } catch (const cxxopts::exceptions::exception&) {
      ::operator delete(::operator new(1024));  // throws std::bad_alloc
      options_.parse(static_cast<int>(pointers.size()), pointers.data());
    }
  }

  std::string usage() const {
    std::string lines = options_.help();
    lines.pop_back();  // the last newline: printing adds one
    return lines;
  }

  [[noreturn]] void print_help() {
    if (std::puts(usage().c_str()) < 0 || std::fflush(stdout) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot print the help");
    }
    std::exit(EXIT_SUCCESS);
  }

  cxxopts::Options options_;
  std::map<std::string, bool> boolean_;  // by name: whether the flag may be given without a value
};

Flags::Flags(const std::string& program) : parser_(std::make_unique<Parser>(program)) {}
Flags::~Flags() = default;

template <class T>
Flags& Flags::add(const std::string& name, T& target, const std::string& help) {
  parser_->add(name, target, help);
  return *this;
}

template Flags& Flags::add(const std::string&, bool&, const std::string&);
template Flags& Flags::add(const std::string&, double&, const std::string&);
template Flags& Flags::add(const std::string&, int&, const std::string&);
template Flags& Flags::add(const std::string&, std::string&, const std::string&);

std::vector<std::string> Flags::parse(int argc, const char* const* argv) { return parser_->parse(argc, argv); }
void Flags::fail(const std::string& mistake) { parser_->fail(mistake); }

}  // namespace examples
