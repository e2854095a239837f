#include "internal/net/systemd_sockets.hpp"

#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace evio::internal {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

Error invalid(const AddressSpec& spec, std::string_view what) {
  return address_error(spec, std::make_error_code(std::errc::invalid_argument), what);
}

Error read_number(const AddressSpec& spec, const char* variable, int& number) {
  const char* const value = std::getenv(variable);
  if (value == nullptr) return invalid(spec, std::string(variable) + " is not set: no sockets were given");
  const std::string_view text = value;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (err == std::errc() && end == text.data() + text.size() && number >= 0) return {};
  return invalid(spec, std::string(variable) + " is \"" + value + "\", which is not a number");
}

std::vector<std::string_view> names_in(std::string_view text) {
  std::vector<std::string_view> names;
  for (;;) {
    const std::size_t colon = text.find(':');
    names.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return names;
    text.remove_prefix(colon + 1);
  }
}

Error find_named(const AddressSpec& spec, int count, std::vector<int>& descriptors) {
  const char* const value = std::getenv("LISTEN_FDNAMES");
  if (value == nullptr) return invalid(spec, "LISTEN_FDNAMES is not set: the sockets have no names");
  const auto names = names_in(value);
  if (names.size() != static_cast<std::size_t>(count)) {
    return invalid(spec, "LISTEN_FDNAMES has " + std::to_string(names.size()) + " names, LISTEN_FDS says " +
                             std::to_string(count));
  }
  for (int i = 0; i != count; ++i) {
    if (names[static_cast<std::size_t>(i)] == spec.name) descriptors.push_back(kFirst + i);
  }
  if (descriptors.empty())
    return invalid(spec, "no socket is named \"" + spec.name + "\": LISTEN_FDNAMES is \"" + value + '"');
  return {};
}

}  // namespace

Error find_systemd_sockets(const AddressSpec& spec, std::vector<int>& descriptors) {
  int pid = 0;
  if (auto err = read_number(spec, "LISTEN_PID", pid)) return err;
  // A child of the process that they were meant for inherits the variables, but not the sockets.
  if (pid != ::getpid())
    return invalid(spec, "the sockets were given to another process: LISTEN_PID is " + std::to_string(pid) +
                             ", this is process " + std::to_string(::getpid()));
  int count = 0;
  if (auto err = read_number(spec, "LISTEN_FDS", count)) return err;
  if (count == 0) return invalid(spec, "LISTEN_FDS is 0: no sockets were given");
  if (count > ::sysconf(_SC_OPEN_MAX) - kFirst)
    return invalid(spec, "LISTEN_FDS is " + std::to_string(count) + ": there are not that many descriptors");
  if (!spec.name.empty()) return find_named(spec, count, descriptors);
  for (int i = 0; i != count; ++i) descriptors.push_back(kFirst + i);
  return {};
}

}  // namespace evio::internal
