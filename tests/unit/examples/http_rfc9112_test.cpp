// What RFC 9112 demands of a server, section by section: examples/http/RFC9112.md names each of these.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "examples/http/request.hpp"
#include "examples/http/uri.hpp"
#include "tests/unit/examples/http_outcome.hpp"

namespace evio::test {
namespace {

using http::Framer;

const std::string kChunked = "Transfer-Encoding: chunked\r\n";

// A request with this first line.
std::string with_line(const std::string& line) { return line + "\r\nHost: x\r\n\r\n"; }

// The same end for all of them.
void expect_all(const std::vector<std::string>& inputs, const std::string& end) {
  for (const std::string& in : inputs) expect({{in, {end == "done" ? done(in) : end}}});
}

TEST(HttpRfc9112, LinesEndInCrLfAndNothingElse) {
  const std::vector<std::string> lines{"GET / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "", "1;a", "x", "0",
                                       "T: t",           ""};
  const auto joined = [&](std::size_t odd, const std::string& its_end) {
    std::string all;
    for (std::size_t i = 0; i != lines.size(); ++i) all += lines[i] + (i == odd ? its_end : "\r\n");
    return all;
  };
  expect({{joined(lines.size(), ""), {done(joined(lines.size(), ""))}}});
  for (std::size_t odd = 0; odd != lines.size(); ++odd) {
    for (const std::string its_end : {"\n", "\r", "\r\r\n", "\n\r"}) {
      SCOPED_TRACE("line " + std::to_string(odd));
      expect({{joined(odd, its_end) + get(), {"400"}}});
    }
  }
}

TEST(HttpRfc9112, ABareCrIsRefusedWhereverItStands) {
  expect_all(
      {
          "GE\rT / HTTP/1.1\r\n",
          "GET /\ra HTTP/1.1\r\n",
          "GET / HTTP/1.1\r \r\n",
          get("A\rB: c\r\n"),
          get("A: b\rc\r\n"),
          get("A:\rb\r\n"),
          post(kChunked, "1\r;a\r\nx\r\n0\r\n\r\n"),
          post(kChunked, "1;a=\"\r\"\r\nx\r\n0\r\n\r\n"),
          post(kChunked, "0\r\nT: a\rb\r\n\r\n"),
          "\r \r\n" + get(),
      },
      "400");
}

TEST(HttpRfc9112, EmptyLinesBeforeARequestArePassedOver) {
  const std::string late = "\r\n\r\n\r\n" + get();
  const std::string after_a_body = post("Content-Length: 1\r\n", "a");
  expect({
      {late, {done(late)}},
      {after_a_body + "\r\n" + get(), {done(after_a_body), done("\r\n" + get())}},
  });
}

TEST(HttpRfc9112, NoBlankStandsBeforeTheFirstField) {
  expect_all(
      {
          "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
          "GET / HTTP/1.1\r\n\tHost: x\r\n\r\n",
          "GET / HTTP/1.1\r\n \r\nHost: x\r\n\r\n",
      },
      "400");
}

TEST(HttpRfc9112, AVersionIsSpeltExactlyAndItsMajorNumberIsOne) {
  for (const char minor : std::string("0123456789"))
    expect_all({with_line(std::string("GET / HTTP/1.") + minor)}, "done");
  expect_all({with_line("GET / HTTP/0.9"), with_line("GET / HTTP/2.0"), with_line("GET / HTTP/3"),
              with_line("GET / HTTP/9.9")},
             "505");
  expect_all(
      {
          with_line("GET / HTTP/1"), with_line("GET / HTTP/1.10"), with_line("GET / HTTP/10.1"),
          with_line("GET / HTTP/1,1"), with_line("GET / HTTP/x.1"), with_line("GET / http/1.1"),
          with_line("GET / HTTPS/1.1"), with_line("GET / "),
          with_line("GET /"),  // as HTTP/0.9 has it
      },
      "400");
}

TEST(HttpRfc9112, TheRequestLineHasTwoSpacesAndNoOtherBlanks) {
  expect_all(
      {
          with_line(" GET / HTTP/1.1"),
          with_line("GET  / HTTP/1.1"),
          with_line("GET /  HTTP/1.1"),
          with_line("GET / HTTP/1.1 "),
          with_line("GET\t/ HTTP/1.1"),
          with_line("GET /\tHTTP/1.1"),
          with_line("GET /a b HTTP/1.1"),
          with_line("GET /\v HTTP/1.1"),
          with_line("GET"),
          with_line("G(T / HTTP/1.1"),
      },
      "400");
}

TEST(HttpRfc9112, ALongTargetIsServedAndOneTooLongNamed) {
  const std::string long_line = with_line("GET /" + std::string(8000, 'a') + " HTTP/1.1");
  expect({
      {long_line, {done(long_line)}},
      {with_line("GET /" + std::string(Framer::kMaxHead, 'a') + " HTTP/1.1"), {"414"}},
      {with_line(std::string(Framer::kMaxHead, 'A') + " / HTTP/1.1"), {"501"}},
  });
}

TEST(HttpRfc9112, ATargetHasOneOfItsForms) {
  expect_all(
      {
          with_line("GET / HTTP/1.1"),
          with_line("GET //a/../b;c=d?e?/f%20 HTTP/1.1"),
          with_line("GET http://x HTTP/1.1"),
          with_line("GET HTTP://user-agent.example:8080/p?q HTTP/1.1"),
          with_line("GET https://[::1]:80?q HTTP/1.1"),
          with_line("OPTIONS http://x HTTP/1.1"),
          with_line("OPTIONS * HTTP/1.1"),
      },
      "done");
  expect_all(
      {
          with_line("GET * HTTP/1.1"),
          with_line("OPTIONS *a HTTP/1.1"),
          with_line("GET a HTTP/1.1"),
          with_line("GET ?q HTTP/1.1"),
          with_line("GET x:80 HTTP/1.1"),
          with_line("GET http:/x HTTP/1.1"),
          with_line("GET ://x/ HTTP/1.1"),
          with_line("GET 1http://x/ HTTP/1.1"),
          with_line("GET http:///p HTTP/1.1"),
          with_line("GET http://:80/p HTTP/1.1"),
          with_line("GET http://user@x/p HTTP/1.1"),
          with_line("GET http://x:a/p HTTP/1.1"),
          with_line("GET /p#fragment HTTP/1.1"),
      },
      "400");
  expect_all({with_line("CONNECT x:80 HTTP/1.1"), with_line("CONNECT / HTTP/1.0")}, "501");
}

TEST(HttpRfc9112, TheHostOfAWholeUriGoesBeforeTheField) {
  std::string storage;
  const auto parsed = [&](const std::string& text) { return http::parse(text, storage); };
  const std::string whole = with_line("GET http://other:80/p/q?r=/s HTTP/1.1");
  EXPECT_EQ(parsed(whole).host(), "other:80");
  EXPECT_EQ(parsed(whole).path, "/p/q");
  EXPECT_EQ(parsed(whole).query, "r=/s");
  const std::string bare = with_line("GET http://other?q HTTP/1.1");
  EXPECT_EQ(parsed(bare).host(), "other");
  EXPECT_EQ(parsed(bare).path, "/");
  EXPECT_EQ(parsed(bare).query, "q");
  const std::string usual = with_line("GET /a://b HTTP/1.1");
  EXPECT_EQ(parsed(usual).host(), "x");
  EXPECT_EQ(parsed(usual).path, "/a://b");
  EXPECT_EQ(parsed("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").path, "*");
}

TEST(HttpRfc9112, ThereIsOneHostAndItIsOne) {
  const auto with = [](const std::string& version, const std::string& fields) {
    return "GET / HTTP/1." + version + "\r\n" + fields + "\r\n";
  };
  expect_all({with("0", ""), with("0", "Host: x\r\n"), with("1", "Host: x\r\n"), with("1", "hOST:\r\n")}, "done");
  expect_all(
      {
          with("1", ""),
          with("9", "X-Host: x\r\n"),
          with("1", "Host: x\r\nHost: x\r\n"),
          with("1", "Host: x\r\nA: b\r\nhost: y\r\n"),
          with("1", "Host:\r\nHost:\r\n"),
          with("0", "Host: x\r\nHost: x\r\n"),
          with("1", "Host: x, y\r\n"),
          with("0", "Host: x/\r\n"),
          "GET http://x/ HTTP/1.1\r\n\r\n",
          "GET http://x/ HTTP/1.1\r\nHost: x y\r\n\r\n",
      },
      "400");
  const std::string in_a_trailer = post(kChunked, "0\r\nHost: y/\r\n\r\n");
  expect({{in_a_trailer, {done(in_a_trailer)}}});
}

TEST(HttpRfc9112, AHostIsANameOrAnAddressAndMayHaveAPort) {
  for (const char* host :
       {"", "x", "localhost:8080", "x:", ":80", "127.0.0.1", "a_b.~c", "a!$&'()*+,;=b", "%41%fF", "[::]", "[::1]:80",
        "[::ffff:127.0.0.1]", "[2001:DB8:0:0:8:800:200C:417A]", "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"}) {
    EXPECT_TRUE(http::is_authority(host)) << host;
  }
  for (const char* host :
       {"x y",         "x/",   "x?", "x#",  "u@x",  "http://x", "x:y",     "x:80:80", "x:-1",      "x: 80",
        "::1",         "[",    "[]", "[x]", "[::1", "[::1]x",   "[::1]:x", "[:::]",   "[1.2.3.4]", "[fe80::1%25eth0]",
        "[v1.x]",      "]",    "%",  "%4",  "%4g",  "\"x\"",    "<x>",     "a\\b",    "a|b",       "a^b",
        "caf\xc3\xa9", "x\x7f"}) {
    EXPECT_FALSE(http::is_authority(host)) << host;
  }
  EXPECT_FALSE(http::is_authority("[" + std::string(1000, ':') + "]"));
}

TEST(HttpRfc9112, NoBlankStandsBetweenANameAndItsColon) {
  expect_all(
      {get("A : b\r\n"), get("A\t: b\r\n"), get(" : b\r\n"), get("A b: c\r\n"), post(kChunked, "0\r\nT : u\r\n\r\n")},
      "400");
  expect_all({get("A:b\r\n"), get("A: \t b \t\r\n")}, "done");
}

TEST(HttpRfc9112, NoFieldIsFolded) {
  expect_all(
      {get("A: b\r\n c\r\n"), get("A: b\r\n\tc\r\n"), get("A:\r\n \r\n"), post(kChunked, "0\r\nT: u\r\n v\r\n\r\n")},
      "400");
}

TEST(HttpRfc9112, OnlyAFinalChunkedCodingIsKnown) {
  const auto coded = [](const std::string& lines) { return post(lines, "0\r\n\r\n"); };
  expect_all({coded("Transfer-Encoding: , cHUNKED ,,\r\n"), coded("Transfer-Encoding: ,\r\n" + kChunked)}, "done");
  expect_all(
      {
          coded("Transfer-Encoding: gzip, chunked\r\n"),
          coded("Transfer-Encoding: gzip\r\n" + kChunked),
          coded("Transfer-Encoding: identity,x;y=z ,chunked\r\n"),
      },
      "501");
  expect_all(
      {
          coded("Transfer-Encoding: gzip\r\n"),
          coded("Transfer-Encoding: chunked, gzip\r\n"),
          coded("Transfer-Encoding: chunked, chunked\r\n"),
          coded(kChunked + kChunked),
          coded(kChunked + "Transfer-Encoding: gzip\r\n"),
          coded("Transfer-Encoding: chunked;a=b\r\n"),
          coded("Transfer-Encoding: xchunked\r\n"),
          coded("Transfer-Encoding: \"chunked\"\r\n"),
          coded("Transfer-Encoding:\r\n"),
          coded("Transfer-Encoding: ,\r\n"),
          coded("Transfer-Encoding:\r\n" + kChunked),
      },
      "400");
}

TEST(HttpRfc9112, ABodyHasOneFraming) {
  expect_all(
      {
          post(kChunked + "Content-Length: 5\r\n", "0\r\n\r\n"),
          post("Content-Length: 5\r\n" + kChunked, "0\r\n\r\n"),
          post("Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
          "POST / HTTP/1.0\r\n" + kChunked + "\r\n0\r\n\r\n",
          "POST / HTTP/1.0\r\nContent-Length: 5\r\n" + kChunked + "\r\n0\r\n\r\n",
          post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"),
          post("Content-Length: 1, 1\r\n", "a"),
          post("Content-Length: 0x1\r\n", "a"),
      },
      "400");
  const std::string without = post("");
  expect({{without + get(), {done(without), done(get())}}});
}

TEST(HttpRfc9112, BlanksAroundAChunksExtensionsArePassedOver) {
  for (const char* extension :
       {";a", ";a=b", " ;a=b", "\t ;a", "; a = \"b\"", ";a ; b=c", ";a=\"; \t\"", ";a=b ", ";caf\xc3\xa9=x"}) {
    const std::string in = post(kChunked, "1" + std::string(extension) + "\r\nx\r\n0" + extension + "\r\n\r\n");
    expect({{in + get(), {done(in), done(get())}}});
    std::string storage;
    EXPECT_EQ(http::parse(in, storage).body, "x") << extension;
  }
  for (const char* extension : {" ", "\t", " a", " 1", "=a", ",a"}) {
    expect({{post(kChunked, "1" + std::string(extension) + "\r\nx\r\n0\r\n\r\n"), {"400"}}});
  }
  const std::string most(Framer::kMaxChunkLine - 3, ' ');
  expect({
      {post(kChunked, "1" + most + ";"), {"more"}},
      {post(kChunked, "1" + most + " ;"), {"400"}},
      {post(kChunked, "1" + most + "  "), {"400"}},
  });
}

TEST(HttpRfc9112, TrailersAreReadAndChangeNothing) {
  const std::string trailers =
      "Content-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: y\r\nConnection: close\r\nExpect: 100-continue\r\n";
  const std::string in = post(kChunked, "1\r\na\r\n0\r\n" + trailers + "\r\n");
  expect({{in + get(), {done(in), done(get())}}});
  Framer framer;
  EXPECT_EQ(framer.find_end(in).status, http::Status::kDone);
  EXPECT_TRUE(framer.keeps_alive());
}

TEST(HttpRfc9112, ExpectIsAList) {
  const auto expecting = [](const std::string& value) {
    return post("Expect: " + value + "\r\nContent-Length: 1\r\n", "a");
  };
  for (const char* value : {"100-continue", "x, 100-Continue", "100-continue,", "100-continue\r\nExpect: x"}) {
    expect({{expecting(value), {"100", done(expecting(value))}}});
  }
  for (const char* value : {"", "x", "100-continue=1", "\"100-continue\""}) {
    expect({{expecting(value), {done(expecting(value))}}});
  }
}

}  // namespace
}  // namespace evio::test
