// Guarantee 2: every byte received reaches data; what is kept of it stays as it was.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class InputTest : public ModeTest {};
EVIO_INSTANTIATE(InputTest, with_tls(all_modes()));

TEST_P(InputTest, EveryByteArrivesInOrderBeforeClosed) {
  std::string got;
  std::string got_when_closed;
  Gate closed;
  Events handlers = events();
  handlers.data = [&](Conn&, std::string_view in, Output&) {
    got += in;
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error& err) {
    EXPECT_FALSE(err) << err.message();
    got_when_closed = got;
    closed.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  const std::string sent = pattern(3'000'000);
  {
    Client client = server.connect();
    std::string_view rest = sent;
    for (std::size_t size = 1; !rest.empty(); size = size * 3 + 1) {
      ASSERT_TRUE(client.send_all(rest.substr(0, size)));
      rest.remove_prefix(std::min(size, rest.size()));
    }
  }
  ASSERT_TRUE(closed.wait());
  EXPECT_TRUE(got_when_closed == sent) << got_when_closed.size();
}

TEST_P(InputTest, AFailedWriteLosesNoInput) {
  std::string got;
  Gate first_call;
  Gate peer_is_gone;
  Gate closed;
  Events handlers = events();
  handlers.data = [&](Conn& conn, std::string_view in, Output& out) {
    got += in;
    if (!first_call.is_open()) {
      first_call.open();
      EXPECT_TRUE(peer_is_gone.wait());
      conn.wake();  // and so one more write, which finds that the peer has refused the first
    }
    out = "no one is there to read this";
    return Action::None;
  };
  handlers.closed = [&](Conn&, const Error&) {
    closed.open();
    return Action::None;
  };
  TestServer server(handlers, address());
  const std::string sent = pattern(48'000);
  Client client = server.connect();
  client.send_all(sent.substr(0, 10));
  ASSERT_TRUE(first_call.wait());
  client.send_all(sent.substr(10));
  client.close();
  peer_is_gone.open();
  ASSERT_TRUE(closed.wait());
  EXPECT_TRUE(got == sent) << got.size();
}

// Keeps every piece of input, drops half of the pieces at once, and looks at the others later.
class Keeper {
 public:
  Keeper() : thread_([this] { run(); }) {}
  ~Keeper() { finish(); }

  void give(const Bytes& piece, const char* data) {
    const std::lock_guard lock(mutex_);
    given_.push_back({piece, data});
    changed_.notify_one();
  }
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }
  std::string all() const {
    std::string text;
    for (const Bytes& piece : kept_) text += piece.view();
    return text;
  }
  bool moved() const { return moved_; }

 private:
  struct Piece {
    Bytes bytes;
    const char* data;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (!over_ || !given_.empty()) {
      changed_.wait(lock, [this] { return over_ || !given_.empty(); });
      for (Piece& piece : given_) {
        if (piece.bytes.data() != piece.data) moved_ = true;
        kept_.push_back(std::move(piece.bytes));
      }
      given_.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> given_;
  std::vector<Bytes> kept_;
  bool over_ = false;
  bool moved_ = false;
  std::thread thread_;
};

TEST_P(InputTest, BytesKeptOnAnotherThreadAreNotCopied) {
  Keeper keeper;
  const std::string sent = pattern(2'000'000);
  {
    Events handlers = events();
    handlers.data = [&](Conn&, const Bytes& in, Output& out) {
      keeper.give(in, in.data());
      const Bytes dropped = in.substr(in.size() / 2);
      out.append(std::to_string(in.size()) + "\n");
      return Action::None;
    };
    TestServer server(handlers, address());
    Client client = server.connect();
    // Sizes around every threshold a buffer may have, each a read of its own where the answer is waited for.
    std::string_view rest = sent;
    for (const std::size_t size : {1u, 2u, 100u, 4095u, 4096u, 4097u, 16384u, 65535u, 65536u, 65537u}) {
      client.send_all(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    client.send_all(rest);
    client.shutdown_write();
    client.receive_all();
  }
  keeper.finish();
  EXPECT_TRUE(keeper.all() == sent);
  EXPECT_FALSE(keeper.moved());
}

TEST_P(InputTest, BytesKeptOutliveTheConnection) {
  std::mutex mutex;
  std::vector<Bytes> kept;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    {
      const std::lock_guard lock(mutex);
      if (kept.size() < 100) kept.push_back(in);
    }
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  for (unsigned i = 0; i < 20; ++i) {
    Client client = server.connect();
    const std::string text = pattern(1000, i);
    client.send_all(text);
    EXPECT_EQ(client.receive(text.size()), text);
  }
  server.shutdown();
  server.wait();
  std::string all;
  for (const Bytes& piece : kept) all += piece.view();
  std::string expected;
  for (unsigned i = 0; i < 20; ++i) expected += pattern(1000, i);
  EXPECT_TRUE(all == expected);
}

TEST_P(InputTest, ReuseInputBufferOverwritesCopies) {
  if (kAddressSanitizer) GTEST_SKIP() << "there it may not be looked at: see InputPoisonTest";
  Bytes first;
  std::string first_seen_later;
  std::size_t calls = 0;
  Events handlers = events();
  handlers.opened = [](Conn&, Output&, Options& opts) {
    opts.reuse_input_buffer = true;
    return Action::None;
  };
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (++calls == 1) {
      first = in;
    } else {
      first_seen_later = first.str();
      EXPECT_EQ(first.data(), in.data());
    }
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  client.send_all("packet1");
  ASSERT_EQ(client.receive(7), "packet1");
  client.send_all("packet2");
  ASSERT_EQ(client.receive(7), "packet2");
  EXPECT_EQ(first_seen_later, "packet2");
}

TEST_P(InputTest, WithoutReuseInputBufferACopyIsNotOverwritten) {
  Bytes first;
  std::size_t calls = 0;
  Events handlers = events();
  handlers.data = [&](Conn& conn, const Bytes& in, Output& out) {
    if (++calls == 1) first = in;
    return echo(conn, in, out);
  };
  TestServer server(handlers, address());
  Client client = server.connect();
  for (const char* packet : {"packet1", "packet2", "packet3"}) {
    client.send_all(packet);
    ASSERT_EQ(client.receive(7), packet);
  }
  server.shutdown();
  server.wait();
  EXPECT_EQ(first, "packet1");
}

}  // namespace
}  // namespace evio::test
