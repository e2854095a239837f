// InputStream in a server: requests that are cut anywhere, pipelined, kept without copying, and offered again by a
// wake.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "evio/input_stream.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class InputStreamServerTest : public ModeTest {};
EVIO_INSTANTIATE(InputStreamServerTest, all_modes());

// A request is "<length>:<text>;". Returns how many bytes of `in` it takes, 0 when it is not whole, and what it says.
std::size_t take_request(std::string_view in, std::size_t& from, std::size_t& size) {
  const std::size_t colon = in.find(':');
  if (colon == std::string_view::npos) return 0;
  size = 0;
  for (const char digit : in.substr(0, colon)) size = size * 10 + static_cast<std::size_t>(digit - '0');
  from = colon + 1;
  const std::size_t end = from + size;
  if (in.size() <= end) return 0;
  EXPECT_EQ(in[end], ';') << "what is not a request was offered";
  return end + 1;
}

std::string request(std::string_view text) { return std::to_string(text.size()) + ":" + std::string(text) + ";"; }

// Else Nagle's algorithm would hold each piece back until the one before is acknowledged, which takes its time.
void send_at_once(const Client& client) {
  const int yes = 1;
  ::setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

enum class Style { kFeedViews, kFeedBytes, kBeginEnd };

// Answers each request with its text in brackets.
void answer_requests(Events& events, Style style) {
  events.opened = [](Conn& conn, Output&, Options&) {
    conn.set_context(InputStream());
    return Action::None;
  };
  const auto answer = [](std::string_view in, Output& out) {
    std::size_t from = 0;
    std::size_t size = 0;
    const std::size_t used = take_request(in, from, size);
    if (used != 0) out.append("<").append(in.substr(from, size)).append(">");
    return used;
  };
  events.data = [style, answer](Conn& conn, const Bytes& in, Output& out) {
    InputStream& stream = *conn.context<InputStream>();
    switch (style) {
      case Style::kFeedViews:
        stream.feed(in.view(), [&](std::string_view rest) { return answer(rest, out); });
        break;
      case Style::kFeedBytes:
        stream.feed(in, [&](const Bytes& rest) { return answer(rest, out); });
        break;
      case Style::kBeginEnd:
        std::string_view rest = stream.begin(in);
        for (std::size_t used = 1; used != 0 && !rest.empty(); rest.remove_prefix(used)) used = answer(rest, out);
        stream.end(rest);
        break;
    }
    return Action::None;
  };
}

TEST_P(InputStreamServerTest, ARequestMayBeCutAtEveryByte) {
  const std::string text = request("first") + request("") + request("with: and ; inside") + request("last");
  const std::string answers = "<first><><with: and ; inside><last>";
  for (const Style style : {Style::kFeedViews, Style::kFeedBytes, Style::kBeginEnd}) {
    Events handlers = events();
    answer_requests(handlers, style);
    // Each piece has been heard before the next is sent, so that the server sees exactly these cuts.
    Counter heard;
    handlers.data = [&heard, data = handlers.data](Conn& conn, const Bytes& in, Output& out) {
      const Action action = data(conn, in, out);
      heard.add();
      return action;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    send_at_once(client);
    for (std::size_t cut = 1; cut != text.size(); ++cut) {
      for (const std::string& piece : {text.substr(0, cut), text.substr(cut)}) {
        const std::size_t before = heard.value();
        client.send_all(piece);
        ASSERT_TRUE(heard.wait_for(before + 1));
      }
      ASSERT_EQ(client.receive(answers.size()), answers) << cut;
    }
    for (const char byte : text) {
      const std::size_t before = heard.value();
      client.send_all(std::string(1, byte));
      ASSERT_TRUE(heard.wait_for(before + 1));
    }
    EXPECT_EQ(client.receive(answers.size()), answers);
    EXPECT_TRUE(client.is_quiet());
  }
}

TEST_P(InputStreamServerTest, AnyNumberOfRequestsMayBePipelined) {
  std::string requests;
  std::string answers;
  for (unsigned i = 0; i != 5000; ++i) {
    const std::string text = pattern(i % 97, i);
    requests += request(text);
    answers += "<" + text + ">";
  }
  for (const Style style : {Style::kFeedViews, Style::kFeedBytes, Style::kBeginEnd}) {
    Events handlers = events();
    answer_requests(handlers, style);
    TestServer server(handlers, address());
    Client client = server.connect();
    Client sending{UniqueFd(::dup(client.fd()))};  // its error() is its own: one thread sends while another receives
    std::thread sender([&] { sending.send_all(requests); });
    EXPECT_TRUE(client.receive(answers.size()) == answers);
    sender.join();
  }
}

TEST_P(InputStreamServerTest, ALargeRequestArrivesWhole) {
  const std::string text = pattern(3 << 20);
  for (const Style style : {Style::kFeedViews, Style::kFeedBytes, Style::kBeginEnd}) {
    Events handlers = events();
    answer_requests(handlers, style);
    TestServer server(handlers, address());
    Client client = server.connect();
    client.send_all(request("small") + request(text) + request("small"));
    const std::string expected = "<small><" + text + "><small>";
    EXPECT_TRUE(client.receive(expected.size()) == expected);
  }
}

TEST_P(InputStreamServerTest, AReusedInputBufferIsCopiedFrom) {
  Events handlers = events();
  answer_requests(handlers, Style::kFeedBytes);
  handlers.opened = [](Conn& conn, Output&, Options& opts) {
    opts.reuse_input_buffer = true;
    conn.set_context(InputStream());
    return Action::None;
  };
  TestServer server(handlers, address());
  std::vector<Client> clients;
  for (int i = 0; i != 4; ++i) clients.push_back(server.connect());
  // In turn, so that the others' input comes in between.
  const std::string text = request(pattern(20'000));
  for (std::size_t from = 0; from < text.size(); from += 3000) {
    for (Client& client : clients) client.send_all(text.substr(from, 3000));
  }
  for (Client& client : clients) EXPECT_TRUE(client.receive(20'002) == "<" + pattern(20'000) + ">");
}

// One request at a time is worked on elsewhere; when it is done, send answers and wake goes on with the next.
TEST_P(InputStreamServerTest, AWakeGoesOnWithWhatWasKept) {
  struct Session {
    InputStream stream;
    bool busy = false;
  };
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output&, Options&) {
    conn.set_context(Session());
    return Action::None;
  };
  handlers.data = [](Conn& conn, const Bytes& in, Output& out) {
    Session& session = *conn.context<Session>();
    if (in.empty()) session.busy = false;
    session.stream.feed(in, [&](const Bytes& rest) -> std::size_t {
      if (session.busy) return 0;
      std::size_t from = 0;
      std::size_t size = 0;
      const std::size_t used = take_request(rest, from, size);
      if (used != 0) {
        session.busy = true;
        out.append("<").append(rest.substr(from, size)).append(">");
        conn.wake();
      }
      return used;
    });
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  std::string requests;
  std::string answers;
  for (int i = 0; i != 100; ++i) {
    requests += request(std::to_string(i));
    answers += "<" + std::to_string(i) + ">";
  }
  client.send_all(requests);
  EXPECT_EQ(client.receive(answers.size()), answers);
}

TEST_P(InputStreamServerTest, ValuesMayBeKeptWithoutCopying) {
  std::mutex mutex;
  std::map<std::string, Bytes> store;
  Events handlers = events();
  handlers.opened = [](Conn& conn, Output&, Options&) {
    conn.set_context(InputStream());
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    conn.context<InputStream>()->feed(in, [&](const Bytes& rest) {
      std::size_t from = 0;
      std::size_t size = 0;
      const std::size_t used = take_request(rest, from, size);
      if (used != 0) {
        const Bytes value = rest.substr(from, size);
        const std::lock_guard lock(mutex);
        store[value.substr(0, 8).str()] = value;
        out += "+";
      }
      return used;
    });
    return Action::None;
  };
  std::map<std::string, std::string> expected;
  {
    TestServer server(handlers, address());
    std::vector<Client> clients;
    for (int i = 0; i != 3; ++i) {
      clients.push_back(server.connect());
      send_at_once(clients.back());
    }
    for (unsigned i = 0; i != 300; ++i) {
      const std::string text = pattern(8 + i * 7, i);
      expected[text.substr(0, 8)] = text;
      Client& client = clients[i % clients.size()];
      const std::string whole = request(text);
      client.send_all(whole.substr(0, whole.size() / 2));
      client.send_all(whole.substr(whole.size() / 2));
      ASSERT_EQ(client.receive(1), "+");
    }
  }
  ASSERT_EQ(store.size(), expected.size());
  for (const auto& [key, value] : store) EXPECT_TRUE(value == expected[key]) << key;
}

}  // namespace
}  // namespace evio::test
