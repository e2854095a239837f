#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace http {

/// A set of bytes.
using Bytes = std::array<bool, 256>;

/// These bytes, and those of `set`.
constexpr Bytes set_of(std::string_view bytes, Bytes set = {}) {
  for (const char c : bytes) set[static_cast<unsigned char>(c)] = true;
  return set;
}

inline constexpr Bytes kAlpha = set_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
inline constexpr Bytes kDigit = set_of("0123456789");
inline constexpr Bytes kAlphanumeric = set_of("0123456789", kAlpha);

/// The end of the run of bytes in `set` that begins at `at`.
inline std::size_t run(std::string_view in, std::size_t at, const Bytes& set) {
  while (at < in.size() && set[static_cast<unsigned char>(in[at])]) ++at;
  return at;
}

/// The value of a hexadecimal digit, -1 for any other byte.
inline int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = (c | 0x20) - 'a';
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/// The text without leading and trailing spaces and tabs.
inline std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Removes and returns the part before `end`, and drops `end`.
inline std::string_view cut(std::string_view& text, std::string_view end) {
  const std::string_view part = text.substr(0, text.find(end));
  text.remove_prefix(std::min(part.size() + end.size(), text.size()));
  return part;
}

/// Calls f with each element of a comma-separated list. Empty elements are ignored (RFC 9110, 5.6.1.2).
template <class F>
void for_each_element(std::string_view list, F f) {
  while (!list.empty()) {
    if (const std::string_view element = trim(cut(list, ",")); !element.empty()) f(element);
  }
}

/// Whether two field names are equal, ignoring case (RFC 9110, 5.1).
inline bool same_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace http
