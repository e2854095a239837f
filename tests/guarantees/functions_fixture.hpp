#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/fate.hpp"
#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {

/// A function that adds this to the output.
inline auto says(std::string text, Action action = Action::None) {
  return [text = std::move(text), action](Conn&, Output& out) {
    out = text;
    return action;
  };
}

/// A server, and a connection of it that functions are posted to. Thread-safety: one thread; the handlers any.
class FunctionsTest : public ModeTest {
 protected:
  // Keeps a connection and its thread: the first one, and the next one after each keep_next().
  Events handlers() {
    Events handlers = events();
    handlers.opened = [this](Conn& conn, Output& out, Options& options) {
      if (keep_.exchange(false)) {
        conn_ = conn;
        thread_ = std::this_thread::get_id();
        if (options_) options_(options);
        kept_.add();
      }
      out = "+";
      return Action::None;
    };
    handlers.data = [this](Conn& conn, const Bytes& in, Output& out) {
      if (in == "block") {
        blocked_.open();
        EXPECT_TRUE(go_.wait());
        return Action::None;
      }
      return data_ ? data_(conn, in, out) : Action::None;
    };
    handlers.closed = [this](Conn& conn, const Error& err) {
      log_.add(err ? "closed: " + err.message() : "closed");
      if (closed_) closed_(conn);
      return Action::None;
    };
    return handlers;
  }
  void serve(Events events) { server_ = std::make_unique<TestServer>(std::move(events), address()); }
  void serve() { serve(handlers()); }
  void keep_next() { keep_ = true; }
  // A client whose connection is open.
  Client connect(const Client::Tuning& tuning = {}) {
    Client client(server_->addr(), tuning);
    EXPECT_EQ(client.receive(1), "+");
    EXPECT_TRUE(kept_.wait_for(1));  // ThreadSanitizer sees no order in what a socket brings
    return client;
  }
  // The connection's loop is in its `data` until go_ is opened.
  void block(Client& client) {
    ASSERT_TRUE(client.send_all("block"));
    ASSERT_TRUE(blocked_.wait());
  }
  void TearDown() override {
    server_.reset();
    conn_ = {};
    ModeTest::TearDown();
  }

  EventLog log_;
  Conn conn_;
  std::thread::id thread_;
  std::atomic<bool> keep_{true};
  Counter kept_;
  Gate blocked_;
  Gate go_;
  std::function<void(Options&)> options_;
  std::function<Action(Conn&, const Bytes&, Output&)> data_;
  std::function<void(Conn&)> closed_;
  std::unique_ptr<TestServer> server_;
};

}  // namespace evio::test
