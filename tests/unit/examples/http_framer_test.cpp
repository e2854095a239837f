#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "examples/http/framer.hpp"
#include "examples/http/request.hpp"
#include "tests/unit/examples/http_outcome.hpp"

namespace evio::test {
namespace {

using http::Framer;
using http::Status;

TEST(HttpFramer, FindsTheEndOfARequest) {
  const std::string curl =
      "GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
  expect({
      {get(), {done(get())}},
      {curl, {done(curl)}},
      {curl + get() + curl, {done(curl), done(get()), done(curl)}},
      {curl.substr(0, curl.size() - 1), {"more"}},
      {"\r\n\r\n" + get(), {"done " + std::to_string(get().size() + 4)}},
      {"OPTIONS * HTTP/1.0\r\n\r\n", {"done 22"}},
      {"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", {"done 32"}},
      {get("X:\r\nY: \t \r\nZ: a b\tc\r\n"), {done(get("X:\r\nY: \t \r\nZ: a b\tc\r\n"))}},
  });
}

TEST(HttpFramer, TakesABodyAsLongAsItWasAnnounced) {
  const std::string five = post("Content-Length: 5\r\n", "01234");
  const std::string none = post("content-length:0\r\n");
  const std::string twice = post("Content-Length: 2\r\nContent-Length: 002\r\n", "ab");
  const std::string tricky = post("Content-Length: " + std::to_string(get().size()) + "\r\n", get());
  expect({
      {five + get(), {done(five), done(get())}},
      {five.substr(0, five.size() - 1), {"more"}},
      {none + get(), {done(none), done(get())}},
      {twice, {done(twice)}},
      {tricky + get(), {done(tricky), done(get())}},
  });
}

TEST(HttpFramer, TakesChunksUntilTheLastOne) {
  const std::string head = "Transfer-Encoding: chunked\r\n";
  const std::string two = post(head, "5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n");
  const std::string trailed =
      post("TRANSFER-ENCODING:\tChunked \r\n", "0001\r\nx\r\n000;a\r\nX: y\r\nContent-Length: 9\r\n\r\n");
  const std::string empty = post(head, "0\r\n\r\n");
  expect({
      {two + get(), {done(two), done(get())}},
      {trailed + get(), {done(trailed), done(get())}},
      {empty, {done(empty)}},
      {post(head, "5\r\nhello"), {"more"}},
      {post(head, "5\r\nhello!\r\n"), {"400"}},
      {post(head, "5\r\nhello\r\r"), {"400"}},
      {post(head, "\r\n"), {"400"}},
      {post(head, "g\r\n"), {"400"}},
      {post(head, "-1\r\n"), {"400"}},
      {post(head, "0x5\r\n"), {"400"}},
      {post(head, "5 \r\n"), {"400"}},
      {post(head, "5\nhello\r\n"), {"400"}},
      {post(head, "5;a\x01\r\n"), {"400"}},
      {post(head, "0\r\nbad trailer\r\n\r\n"), {"400"}},
  });
}

TEST(HttpFramer, RefusesWhatIsNoRequest) {
  expect({
      {"junk", {"more"}},
      {"junk\r\n\r\n", {"400"}},
      {"\x16\x03\x01", {"400"}},
      {std::string(1, '\0'), {"400"}},
      {"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", {"400"}},
      {" GET / HTTP/1.1\r\nHost: x\r\n", {"400"}},
      {"GET  / HTTP/1.1\r\nHost: x\r\n", {"400"}},
      {"GET /\r\n", {"400"}},
      {"GET / a HTTP/1.1\r\nHost: x\r\n", {"400"}},
      {"GET / HTTP/1.1x\r\n", {"400"}},
      {"GET / http/1.1\r\n", {"400"}},
      {"GET / HTTP/1.1 \r\n", {"400"}},
      {"GET / HTTP/1.1\n\n", {"400"}},
      {"GET /\x7f HTTP/1.1\r\nHost: x\r\n", {"400"}},
      {"G@T / HTTP/1.1\r\nHost: x\r\n", {"400"}},
      {get("no colon\r\n"), {"400"}},
      {get(": no name\r\n"), {"400"}},
      {get("Host : x\r\n"), {"400"}},
      {get("A: b\r\n folded\r\n"), {"400"}},
      {get("A: b\nC: d\r\n"), {"400"}},
      {get("A: b\rc\r\n"), {"400"}},
      {get(std::string_view("A: b\0c\r\n", 8)), {"400"}},
      {get() + "junk\r\n", {done(get()), "400"}},
  });
}

TEST(HttpFramer, RefusesLengthsThatAreNoneOrTwo) {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  for (const char* length : {"", " ", "-1", "+1", "1 1", "1,1", "0x1", "1a", "a"}) {
    expect({{post("Content-Length: " + std::string(length) + "\r\n"), {"400"}}});
  }
  expect({
      {post("Content-Length: 1\r\nContent-Length: 2\r\n", "a"), {"400"}},
      {post(chunked + "Content-Length: 1\r\n", "1\r\na\r\n0\r\n\r\n"), {"400"}},
      {post("Content-Length: 0\r\n" + chunked, "0\r\n\r\n"), {"400"}},
      {post(chunked + chunked, "0\r\n\r\n"), {"400"}},
      {post("Transfer-Encoding: identity\r\n"), {"400"}},
      {"POST / HTTP/1.0\r\n" + chunked + "\r\n0\r\n\r\n", {"400"}},
  });
}

TEST(HttpFramer, RefusesWhatIsTooLarge) {
  const std::string head = "Transfer-Encoding: chunked\r\n";
  const std::string most = std::to_string(Framer::kMaxBody);
  expect({
      {post("Content-Length: " + most + "\r\n"), {"more"}},
      {post("Content-Length: " + std::to_string(Framer::kMaxBody + 1) + "\r\n"), {"413"}},
      {post("Content-Length: 18446744073709551617\r\n"), {"413"}},
      {post("Content-Length: " + std::string(1000, '9') + "\r\n"), {"413"}},
      {post(head, "800000\r\n"), {"more"}},
      {post(head, "800001\r\n"), {"413"}},
      {post(head, "10000000000000001\r\n"), {"413"}},
      {post(head, "1\r\na\r\n800000\r\n"), {"413"}},
      {post(head, std::string(Framer::kMaxChunkLine + 1, '0')), {"400"}},
      {post(head, "1;" + std::string(Framer::kMaxChunkLine, 'x')), {"400"}},
      {"GET /" + std::string(Framer::kMaxHead, 'a'), {"414"}},
      {std::string(Framer::kMaxHead, 'A'), {"501"}},
      {get("A: " + std::string(Framer::kMaxHead, 'a') + "\r\n"), {"431"}},
      {get(std::string(Framer::kMaxHead, 'a')), {"431"}},
      {post(head, "0\r\nA: " + std::string(Framer::kMaxHead, 'a')), {"431"}},
  });
}

TEST(HttpFramer, AHeadMayJustReachItsLimit) {
  const std::size_t rest = Framer::kMaxHead - get("A: \r\n").size();
  const std::string largest = get("A: " + std::string(rest, 'a') + "\r\n");
  expect({{largest + get(), {done(largest), done(get())}}});
  expect({{get("A: " + std::string(rest + 1, 'a') + "\r\n") + get(), {"431"}}});
}

TEST(HttpFramer, ManySmallChunksAreBoundedToo) {
  std::string in = post("Transfer-Encoding: chunked\r\n");
  const std::string chunk = "1;" + std::string(1000, 'x') + "\r\na\r\n";
  while (in.size() < Framer::kMaxRequest + 2048) in += chunk;
  EXPECT_EQ(outcome(in), std::vector<std::string>{"413"});
  EXPECT_EQ(outcome(in, 4096), std::vector<std::string>{"413"});
}

TEST(HttpFramer, AsksForTheBodyOfWhoWaitsToBeAsked) {
  const std::string waiting = post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "ab");
  const std::string chunked = post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
  const std::string nothing_to_wait_for = post("Expect: 100-continue\r\nContent-Length: 0\r\n");
  const std::string old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na";
  expect({
      {waiting + waiting, {"100", done(waiting), "100", done(waiting)}},
      {chunked, {"100", done(chunked)}},
      {nothing_to_wait_for, {done(nothing_to_wait_for)}},
      {old, {done(old)}},
  });
}

TEST(HttpFramer, SaysWhatTheAnswerMustHeed) {
  const auto after = [](std::string_view request) {
    Framer framer;
    EXPECT_EQ(framer.find_end(request).status, Status::kDone);
    return framer;
  };
  EXPECT_TRUE(after(get()).keeps_alive());
  EXPECT_FALSE(after(get("Connection: close\r\n")).keeps_alive());
  EXPECT_FALSE(after(get("Connection: upgrade , CLOSE\r\n")).keeps_alive());
  EXPECT_FALSE(after(get("Connection: keep-alive\r\nconnection: close\r\n")).keeps_alive());
  EXPECT_TRUE(after(get("Connection: ,closed,\r\n")).keeps_alive());
  EXPECT_FALSE(after("GET / HTTP/1.0\r\n\r\n").keeps_alive());
  EXPECT_TRUE(after("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive());
  EXPECT_TRUE(after("GET / HTTP/1.0\r\n\r\n").is_http_1_0());
  EXPECT_FALSE(after(get()).is_http_1_0());
  EXPECT_TRUE(after("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").is_head());
  EXPECT_FALSE(after("HEADS / HTTP/1.1\r\nHost: x\r\n\r\n").is_head());
}

TEST(HttpFramer, StartsAnewWithEachRequest) {
  Framer framer;
  EXPECT_EQ(framer.find_end("HEAD / HTTP/1.0\r\nContent-Length: 1\r\n\r\na").status, Status::kDone);
  EXPECT_EQ(framer.find_end(get()).status, Status::kDone);
  EXPECT_FALSE(framer.is_head());
  EXPECT_TRUE(framer.keeps_alive());
}

TEST(HttpRequest, IsTakenApart) {
  std::string storage;
  const std::string text = "\r\nPOST /p/q?a=b?c HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\nContent-Length: 3\r\n\r\n1\r\n";
  const http::Request request = http::parse(text, storage);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/p/q");
  EXPECT_EQ(request.query, "a=b?c");
  EXPECT_EQ(request.proto, "HTTP/1.1");
  EXPECT_EQ(request.head, "Host: h\r\nX-Y:  z \r\nContent-Length: 3\r\n");
  EXPECT_EQ(request.body, "1\r\n");
  EXPECT_EQ(request.field("x-y"), "z");
  EXPECT_EQ(request.field("X-"), "");
}

TEST(HttpRequest, MayBeBare) {
  std::string storage;
  const http::Request request = http::parse("GET / HTTP/1.0\r\n\r\n", storage);
  EXPECT_EQ(request.path, "/");
  EXPECT_EQ(request.query, "");
  EXPECT_EQ(request.head, "");
  EXPECT_EQ(request.body, "");
}

TEST(HttpRequest, JoinsChunks) {
  std::string storage = "old";
  const std::string text =
      post("Transfer-Encoding: chunked\r\n", "3;x\r\na\r\n\r\n002\r\nbc\r\n0\r\nTrailer: t\r\n\r\n");
  EXPECT_EQ(http::parse(text, storage).body, "a\r\nbc");
}

}  // namespace
}  // namespace evio::test
