#include "examples/http/response.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <ctime>

namespace http {

namespace {

// Formatting the date takes longer than the rest of a response, so each loop does it once a second. time(2) is not a
// system call (vdso(7)).
std::string_view date() {
  thread_local std::time_t formatted = -1;
  thread_local std::array<char, sizeof "Thu, 01 Jan 1970 00:00:00 GMT"> text{};
  const std::time_t now = std::time(nullptr);
  if (now != formatted) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    formatted = now;
  }
  return {text.data(), text.size() - 1};
}

void append_number(evio::Output& out, std::size_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

}  // namespace

void append_response(evio::Output& out, std::string_view status, const Content& content) {
  out.append("HTTP/1.1 ").append(status).append("\r\nServer: evio\r\nDate: ").append(date());
  out.append(
      "\r\nContent-Length: ");  // also if the body is empty: without it, everything that follows would be the body
  append_number(out, content.body.size());
  out.append("\r\n").append(content.head).append("\r\n");
  if (!content.announce_only) out.append(content.body);
}

}  // namespace http
