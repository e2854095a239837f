#include "examples/http/response.hpp"

#include <gtest/gtest.h>

#include <string>

#include "internal/buffer/output_access.hpp"

namespace evio::test {
namespace {

std::string after_date(const http::Content& content) {
  Output out;
  http::append_response(out, "200 OK", content);
  std::string text;
  internal::OutputAccess::for_each(out, [&](std::string_view piece, const Bytes*) { text += piece; });
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\nServer: evio\r\nDate: ")) << text;
  return text.substr(text.find(" GMT\r\n") + 6);
}

TEST(HttpResponse, CarriesItsBodyAndSaysHowLongItIs) {
  EXPECT_EQ(after_date({.head = "A: b\r\n", .body = "hello"}), "Content-Length: 5\r\nA: b\r\n\r\nhello");
  EXPECT_EQ(after_date({.head = {}, .body = "hello", .announce_only = true}), "Content-Length: 5\r\n\r\n");
}

// A body of unknown length goes on until the connection ends (RFC 9112, 6.3).
TEST(HttpResponse, SaysThatAnEmptyBodyIsEmpty) {
  EXPECT_EQ(after_date({.head = {}, .body = {}}), "Content-Length: 0\r\n\r\n");
}

}  // namespace
}  // namespace evio::test
