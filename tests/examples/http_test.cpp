#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::size_t kDateSize = std::string_view("Sun, 22 Nov 2026 06:29:30 GMT").size();

// A response with its date blotted out.
std::string response(std::string_view status, std::string_view fields, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) + "\r\nServer: evio\r\nDate: " + std::string(kDateSize, '.') + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}

const std::string kHello = response("200 OK", "Content-Length: 14\r\n", "Hello World!\r\n");
const std::string kGoodbye = response("200 OK", "Content-Length: 14\r\nConnection: close\r\n", "Hello World!\r\n");

std::string refusal(std::string_view status, std::string_view why) {
  const std::string fields = "Content-Length: " + std::to_string(why.size()) + "\r\nConnection: close\r\n";
  return response(status, fields, why);
}
const std::string kBadRequest = refusal("400 Bad Request", "malformed request\n");
const std::string kTooLarge = refusal("413 Content Too Large", "content too large\n");
const std::string kUriTooLong = refusal("414 URI Too Long", "uri too long\n");
const std::string kNotImplemented = refusal("501 Not Implemented", "not implemented\n");
const std::string kVersionNotSupported = refusal("505 HTTP Version Not Supported", "http version not supported\n");
const std::string kHeadTooLarge = refusal("431 Request Header Fields Too Large", "request header fields too large\n");

std::string blot_dates(std::string text) {
  constexpr std::string_view kField = "\r\nDate: ";
  for (std::size_t at = 0; (at = text.find(kField, at)) != std::string::npos; at += kField.size()) {
    text.replace(at + kField.size(), kDateSize, kDateSize, '.');
  }
  return text;
}

std::string times(int n, std::string_view text) {
  std::string all;
  while (n-- > 0) all += text;
  return all;
}

// All that is answered to `request`, which ends the connection.
std::string answer(Client client, std::string_view request) {
  client.send_all(request);
  return blot_dates(client.receive_all());
}

class HttpExample : public testing::TestWithParam<std::string> {
 protected:
  // With the flag that this instance is about.
  static std::vector<std::string> args(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--port=0", GetParam()});
    return more;
  }
  static constexpr const char* kProgram = EVIO_EXAMPLES_DIR "/http";

 private:
  Watchdog watchdog_{"an http test", kWatchdogLimit};
};

INSTANTIATE_TEST_SUITE_P(, HttpExample, testing::Values("--noparse", "--noparse=false", "--stdlib", "--loops=4"),
                         [](const auto& instance) {
                           return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
                         });

TEST_P(HttpExample, AnswersAsEvioDoes) {
  Program http(kProgram, args({"--aaaa=false"}));
  Client client = http.connect();
  client.send_all(kGet);
  const std::string got = client.receive(kHello.size());
  EXPECT_EQ(blot_dates(got), kHello);
  const std::regex date("(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] [A-Z][a-z]{2} 2[0-9]{3} [0-9:]{8} GMT");
  EXPECT_TRUE(std::regex_match(got.substr(got.find("Date: ") + 6, kDateSize), date)) << got;
  client.shutdown_write();
  EXPECT_EQ(client.receive_all(), "");
}

TEST_P(HttpExample, AHundredRequestsByteByByte) {
  Program http(kProgram, args());
  Client client = http.connect();
  for (int i = 0; i < 100; ++i) {
    const std::string request =
        i % 2 == 0 ? std::string(kGet) : "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\r\n\r";
    for (const char byte : request) client.send_all(std::string_view(&byte, 1));
    ASSERT_EQ(blot_dates(client.receive(kHello.size())), kHello) << i;
  }
}

TEST_P(HttpExample, ARequestCutAnywhere) {
  Program http(kProgram, args());
  Client client = http.connect();
  const std::string request =
      "POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t cut = 1; cut < request.size(); ++cut) {
    client.send_all(request.substr(0, cut));
    client.send_all(request.substr(cut) + std::string(kGet));
    ASSERT_EQ(blot_dates(client.receive(2 * kHello.size())), kHello + kHello) << cut;
  }
}

TEST_P(HttpExample, AnswersEveryRequestOfAPipeline) {
  Program http(kProgram, args());
  Client client = http.connect();
  const int count = 10'000;
  std::thread sender([&] { twin(client).send_all(times(count, kGet)); });
  EXPECT_TRUE(blot_dates(client.receive(count * kHello.size())) == times(count, kHello));
  sender.join();
}

TEST_P(HttpExample, HeedsConnectionAndVersion) {
  Program http(kProgram, args());
  const std::string kept = response("200 OK", "Content-Length: 14\r\nConnection: keep-alive\r\n", "Hello World!\r\n");
  const std::string close = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string old = "GET / HTTP/1.0\r\n\r\n";
  const std::string old_kept = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
  EXPECT_EQ(answer(http.connect(), std::string(kGet) + close + std::string(kGet)), kHello + kGoodbye);
  EXPECT_EQ(answer(http.connect(), old), kGoodbye);
  EXPECT_EQ(answer(http.connect(), old_kept + old), kept + kGoodbye);
}

TEST_P(HttpExample, AnswersToHeadHaveNoBody) {
  Program http(kProgram, args());
  EXPECT_EQ(answer(http.connect(), "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
            response("200 OK", "Content-Length: 14\r\n", "") + kGoodbye);
  EXPECT_EQ(answer(http.connect(), "HEAD / HTTP/1.1\r\n\r\n"),
            response("400 Bad Request", "Content-Length: 18\r\nConnection: close\r\n", ""));
}

TEST_P(HttpExample, TakesATargetWithAHostInIt) {
  Program http(kProgram, args());
  EXPECT_EQ(answer(http.connect(), "GET http://[::1]:80/p?q HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS * HTTP/1.0\r\n\r\n"),
            kHello + kGoodbye);
}

TEST_P(HttpExample, ARequestThatIsCutOffIsNotAnswered) {
  Program http(kProgram, args());
  Client client = http.connect();
  client.send_all(std::string(kGet) + "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab");
  client.shutdown_write();
  EXPECT_EQ(blot_dates(client.receive_all()), kHello);
}

TEST_P(HttpExample, TakesBodies) {
  Program http(kProgram, args());
  const std::string body = pattern(3'000'000);
  Client client = http.connect();
  client.send_all("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
  client.send_all(body);
  EXPECT_EQ(blot_dates(client.receive(kHello.size())), kHello);
  client.send_all("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2DC6C0\r\n");
  client.send_all(body + "\r\n0\r\n\r\n");
  EXPECT_EQ(blot_dates(client.receive(kHello.size())), kHello);
}

TEST_P(HttpExample, TellsWhoWaitsToGoOn) {
  Program http(kProgram, args());
  Client client = http.connect();
  const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  client.send_all("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.receive(go_on.size()), go_on);
  client.send_all("a");
  client.send_all("b");
  EXPECT_EQ(blot_dates(client.receive(kHello.size())), kHello);
}

TEST_P(HttpExample, RefusesWhatIsMalformedAfterAllAnswersBefore) {
  Program http(kProgram, args());
  const std::vector<std::pair<std::string, std::string>> cases{
      {"junk\r\n\r\n", kBadRequest},
      {std::string("\x16\x03\x01\x00\x00", 5), kBadRequest},
      {"GET / HTTP/1.1\n\n", kBadRequest},
      {"GET / HTTP/3.0\r\n\r\n", kVersionNotSupported},
      {"GET / HTTP/1.1\r\n\r\n", kBadRequest},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", kBadRequest},
      {"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", kBadRequest},
      {"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", kNotImplemented},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", kNotImplemented},
      {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", kBadRequest},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", kBadRequest},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", kBadRequest},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", kBadRequest},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", kBadRequest},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", kTooLarge},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n", kTooLarge},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", kTooLarge},
      {"GET /" + std::string(20'000, 'a'), kUriTooLong},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(20'000, 'a'), kHeadTooLarge},
  };
  for (const auto& [request, refused] : cases) {
    EXPECT_EQ(answer(http.connect(), request), refused) << request.substr(0, 100);
    EXPECT_EQ(answer(http.connect(), times(3, kGet) + request), times(3, kHello) + refused) << request.substr(0, 100);
  }
}

// What comes without end is refused long before the sender is through, and is not kept.
TEST_P(HttpExample, WhatNeverEndsIsBounded) {
  Program http(kProgram, args());
  const std::string field = "X-Field: " + std::string(100, 'x') + "\r\n";
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  const auto flood = [&](std::string_view begin, const std::string& more) {
    Client client = http.connect();
    client.send_all(begin);
    for (std::size_t sent = 0; sent < 256 * 1024 * 1024 && client.send_all(more); sent += more.size()) {
    }
    return blot_dates(client.receive_all());
  };
  const std::size_t before = http.memory();
  // The refusal may be lost: who goes on sending to a closed connection gets a reset for it.
  EXPECT_THAT((std::vector<std::string>{kHeadTooLarge, ""}),
              testing::Contains(flood("GET / HTTP/1.1\r\nHost: x\r\n", times(100, field))));
  EXPECT_THAT((std::vector<std::string>{kTooLarge, ""}),
              testing::Contains(flood("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", chunk)));
  EXPECT_LT(http.memory(), before + (kSanitized ? 512 : 40) * std::size_t{1024 * 1024});
  EXPECT_EQ(answer(http.connect(), "GET / HTTP/1.0\r\n\r\n"), kGoodbye);
}

TEST_P(HttpExample, ClientsThatVanishDisturbNobody) {
  Program http(kProgram, args());
  Client stays = http.connect();
  for (int i = 0; i < 50; ++i) {
    Client vanishes = http.connect();
    vanishes.send_all(i % 2 == 0 ? times(1000, kGet) : "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    if (i % 3 == 0) vanishes.reset();
  }
  stays.send_all(kGet);
  EXPECT_EQ(blot_dates(stays.receive(kHello.size())), kHello);
}

TEST_P(HttpExample, ServesAUnixSocketToo) {
  Program http(kProgram, args({"--unixsocket", "sock"}));
  EXPECT_EQ(answer(http.connect_unix("sock"), "GET / HTTP/1.0\r\n\r\n"), kGoodbye);
  EXPECT_EQ(answer(http.connect(), "GET / HTTP/1.0\r\n\r\n"), kGoodbye);
  EXPECT_TRUE(http.wait_for("http server started at sock\n"));
}

TEST_P(HttpExample, AaaaIsALongerAnswer) {
  Program http(kProgram, args({"-aaaa"}));
  const std::string body(1024, 'a');
  EXPECT_EQ(answer(http.connect(), "GET / HTTP/1.0\r\n\r\n"),
            response("200 OK", "Content-Length: 1024\r\nConnection: close\r\n", body));
}

// Answered at once, what is read in one go would be 2.7 MB.
TEST_P(HttpExample, IsNoFurtherThanItsClientReads) {
  Program http(kProgram, args({"--aaaa"}));
  Client client = http.connect();
  client.send_all(kGet);
  const std::string one = blot_dates(client.receive(kHello.size() + 1012));
  const std::size_t before = http.memory();
  constexpr int kCount = 20'000;
  std::thread sender([&] {
    Client sending = twin(client);
    sending.send_all(times(kCount, kGet));
    sending.shutdown_write();
  });
  ASSERT_TRUE(client.has_input());
  EXPECT_TRUE(blot_dates(client.receive_all()) == times(kCount, one));
  sender.join();
  EXPECT_LT(http.peak_memory(), before + (kSanitized ? 64 : 1) * std::size_t{1024 * 1024});
}

TEST_P(HttpExample, ASignalShutsItDown) {
  Program http(kProgram, args({"--unixsocket=sock"}));
  Client client = http.connect();
  client.send_all(kGet);
  EXPECT_EQ(blot_dates(client.receive(kHello.size())), kHello);
  http.signal(SIGTERM);
  EXPECT_EQ(http.wait(), 0);
  EXPECT_NE(::access(http.path("sock").c_str(), F_OK), 0);
}

class HttpTimeouts : public HttpExample {
 protected:
  // With one short timeout; the others are longer than any test.
  static Program run(const std::string& flag) {
    return Program(kProgram, args({"--header-timeout=9999", "--write-timeout=9999", "--idle-timeout=9999", flag}));
  }
  // A client that has sent requests until the server reads no more.
  static Client never_reads(Program& http) {
    Client client = http.connect();
    client.send_until_full(times(1000, kGet), SIZE_MAX, [] { return true; });
    return client;
  }
};
INSTANTIATE_TEST_SUITE_P(, HttpTimeouts, testing::Values("--loops=1", "--stdlib"), [](const auto& instance) {
  return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
});

TEST_P(HttpTimeouts, TheIdleAreClosed) {
  Program http = run("--idle-timeout=0.1");
  Client client = http.connect();
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_TRUE(client.at_end());
  EXPECT_EQ(answer(http.connect(), kGet), kHello);
}

TEST_P(HttpTimeouts, ARequestThatTricklesIsRefused) {
  Program http = run("--header-timeout=0.5");
  for (const std::string begin : {"GET / HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n\r\nG",
                                  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"}) {
    Client client = http.connect();
    client.send_all(std::string(kGet) + begin);
    EXPECT_EQ(blot_dates(client.receive(kHello.size())), kHello);
    while (client.is_quiet()) client.send_all("a");
    EXPECT_EQ(blot_dates(client.receive_all()), refusal("408 Request Timeout", "request timeout\n"));
  }
}

TEST_P(HttpTimeouts, WhoReadsNothingIsReset) {
  Program http = run("--write-timeout=0.5");
  Client client = never_reads(http);
  while (client.send_all(kGet)) {
  }
  EXPECT_NE(client.send_error(), std::errc::timed_out);
  EXPECT_EQ(answer(http.connect(), "GET / HTTP/1.0\r\n\r\n"), kGoodbye);
}

// It never stops for as long as the timeout, but takes far longer than that for what waits.
TEST_P(HttpTimeouts, WhoReadsSlowlyIsReset) {
  Program http = run("--write-timeout=1");
  Client client = never_reads(http);
  const auto wait_for_a_moment = [] { ::poll(nullptr, 0, 20); };
  while (client.receive(8192).size() == 8192) wait_for_a_moment();
  EXPECT_EQ(client.error(), std::errc::connection_reset);
}

}  // namespace
}  // namespace evio::test
