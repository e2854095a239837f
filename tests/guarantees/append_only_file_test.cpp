// pre_write as it is meant to be used: what was changed is in a file before anyone is told so.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "evio/input_stream.hpp"
#include "tests/support/datagram_client.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

// A log of changes. Handlers add to it, pre_write puts what was added into the file. Thread-safety: any thread.
class AppendOnlyFile {
 public:
  explicit AppendOnlyFile(std::string path)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    EXPECT_TRUE(fd_.valid());
  }
  ~AppendOnlyFile() { ::unlink(path_.c_str()); }

  void add(std::string_view change) {
    const std::lock_guard lock(mutex_);
    pending_ += change;
    pending_ += '\n';
  }
  void flush() {
    const std::lock_guard lock(mutex_);
    ++flushes_;
    if (pending_.empty()) return;
    EXPECT_EQ(::write(fd_.get(), pending_.data(), pending_.size()), static_cast<ssize_t>(pending_.size()));
    pending_.clear();
  }
  std::size_t flushes() const {
    const std::lock_guard lock(mutex_);
    return flushes_;
  }
  // What anyone finds in the file now.
  std::string read() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool has(const std::string& change) const { return ("\n" + read()).find("\n" + change + "\n") != std::string::npos; }

 private:
  const std::string path_;
  UniqueFd fd_;
  mutable std::mutex mutex_;
  std::string pending_;
  std::size_t flushes_ = 0;
};

class AppendOnlyFileTest : public ModeTest {
 protected:
  // Each line is a change: it is logged and echoed. "quiet ..." is logged and not answered.
  Events logging(AppendOnlyFile& file) {
    Events handlers = events();
    handlers.opened = [](Conn& conn, Output&, Options&) {
      conn.set_context(InputStream());
      return Action::None;
    };
    handlers.data = [&file](Conn& conn, const Bytes& in, Output& out) {
      conn.context<InputStream>()->feed(in, [&](const Bytes& rest) -> std::size_t {
        const std::size_t end = rest.view().find('\n');
        if (end == std::string_view::npos) return 0;
        file.add(rest.view().substr(0, end));
        if (!rest.view().starts_with("quiet")) out.append(rest.view().substr(0, end + 1));
        return end + 1;
      });
      return Action::None;
    };
    handlers.pre_write = [&file] { file.flush(); };
    return handlers;
  }
};
EVIO_INSTANTIATE(AppendOnlyFileTest, all_modes());

TEST_P(AppendOnlyFileTest, WhatAClientWasToldIsInTheFile) {
  constexpr int kClients = 4;
  AppendOnlyFile file(path("log"));
  TestServer server(logging(file), address());
  std::vector<std::thread> threads;
  for (int c = 0; c != kClients; ++c) {
    threads.emplace_back([&, c] {
      Client client = server.connect();
      for (int i = 0; i != 25; ++i) {
        const std::string change = "client " + std::to_string(c) + " change " + std::to_string(i);
        client.send_all(change + "\n");
        ASSERT_EQ(client.receive(change.size() + 1), change + "\n");
        EXPECT_TRUE(file.has(change)) << change;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(AppendOnlyFileTest, ManyChangesInOneReadAreOneFlush) {
  AppendOnlyFile file(path("log"));
  TestServer server(logging(file), address());
  Client client = server.connect();
  std::string changes;
  for (int i = 0; i != 100; ++i) changes += "change " + std::to_string(i) + "\n";
  client.send_all(changes);
  EXPECT_EQ(client.receive(changes.size()), changes);
  EXPECT_EQ(file.read(), changes) << "they are in the file once, in order";
  EXPECT_LT(file.flushes(), 20u);
}

TEST_P(AppendOnlyFileTest, WhatNobodyWasToldMayWait) {
  AppendOnlyFile file(path("log"));
  TestServer server(logging(file), address());
  Client client = server.connect();
  client.send_all("quiet 1\nquiet 2\n");
  EXPECT_TRUE(client.is_quiet());
  EXPECT_EQ(file.flushes(), 0u) << "no byte was about to leave";
  client.send_all("loud\n");
  EXPECT_EQ(client.receive(5), "loud\n");
  EXPECT_EQ(file.read(), "quiet 1\nquiet 2\nloud\n");
}

TEST_P(AppendOnlyFileTest, ALargeAnswerIsLoggedBeforeItsFirstPiece) {
  AppendOnlyFile file(path("log"));
  TestServer server(logging(file), address());
  Client client = server.connect();
  const std::string change(4 << 20, 'x');
  Client sending{UniqueFd(::dup(client.fd()))};  // its error() is its own: one thread sends while another receives
  std::thread sender([&] { sending.send_all(change + "\n"); });
  EXPECT_EQ(client.receive(1), "x");
  EXPECT_EQ(file.read().size(), change.size() + 1);
  EXPECT_EQ(client.receive(change.size()).size(), change.size());
  sender.join();
}

TEST_P(AppendOnlyFileTest, WhatIsSentFromAnotherThreadIsAnnouncedToo) {
  AppendOnlyFile file(path("log"));
  Conn conn;
  Gate opened;
  Events handlers = logging(file);
  handlers.opened = [&](Conn& c, Output&, Options&) {
    c.set_context(InputStream());
    conn = c;
    opened.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  for (int i = 0; i != 25; ++i) {
    const std::string change = "news " + std::to_string(i);
    file.add(change);
    EXPECT_TRUE(conn.send(change));
    EXPECT_EQ(client.receive(change.size()), change);
    EXPECT_TRUE(file.has(change));
  }
}

TEST_P(AppendOnlyFileTest, DatagramsAreLoggedBeforeTheyAreAnswered) {
  AppendOnlyFile file(path("log"));
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    file.add(in);
    return echo(conn, in, out);
  };
  handlers.pre_write = [&file] { file.flush(); };
  TestServer server(handlers, mode().poller == PollerKind::kPortable ? "udp-net://127.0.0.1:0" : "udp://127.0.0.1:0");
  DatagramClient client("127.0.0.1", server.addr().port());
  for (int i = 0; i != 25; ++i) {
    for (const char* name : {"a", "b", "c"}) client.send(name + std::to_string(i));
    for (const char* name : {"a", "b", "c"}) {
      const std::string change = name + std::to_string(i);
      EXPECT_EQ(client.receive_text(), change);
      EXPECT_TRUE(file.has(change));
    }
  }
}

}  // namespace
}  // namespace evio::test
