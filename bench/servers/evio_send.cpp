// Every message is handed to another thread, which answers by Conn::send while the loop waits for it: so all answers to
// `gather` messages are in one wake, and what the loop does for each of them can be counted. With --how=broadcast each
// answer goes to all connections.
#include <unistd.h>

#include <array>
#include <evio/evio.hpp>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "common.h"

namespace {

/// A pipe as a signal between two threads: it costs the one that waits the same number of instructions every time.
/// Thread-safety: one thread raises, one waits.
class Signal {
 public:
  Signal() {
    if (pipe(ends_.data()) != 0) die("pipe");
  }
  void raise() const {
    if (::write(ends_[1], "!", 1) != 1) die("write");
  }
  void wait() const {
    char byte = 0;
    if (::read(ends_[0], &byte, 1) != 1) die("read");
  }

 private:
  std::array<int, 2> ends_{};
};

/// Thread-safety: the loop hands over, then waits; only then the other thread touches the messages.
class Worker {
 public:
  explicit Worker(const Options& options) : options_(options), thread_([this] { run(); }) { thread_.detach(); }

  void know(const evio::Conn& conn) { everybody_.push_back(conn); }

  void take(const evio::Conn& conn, const evio::Bytes& message) {
    messages_.emplace_back(conn, message.str());
    if (messages_.size() < static_cast<std::size_t>(options_.gather)) return;
    taken_.raise();
    sent_.wait();
    messages_.clear();
  }

 private:
  void run() {
    for (;;) {
      taken_.wait();
      for (const auto& [conn, message] : messages_) {
        if (everybody_.empty()) {
          for (int i = 0; i < options_.each; ++i) conn.send(message);
        } else {
          for (const evio::Conn& one : everybody_) one.send(message);
        }
      }
      sent_.raise();
    }
  }

  const Options& options_;
  Signal taken_;
  Signal sent_;
  std::vector<std::pair<evio::Conn, std::string>> messages_;
  std::vector<evio::Conn> everybody_;  // for a broadcast
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  Worker worker(options);
  evio::Events events;
  events.serving = [](const evio::Server& server) {
    announce(server.addrs().front().port());
    return evio::Action::None;
  };
  if (std::string_view(options.how) == "broadcast") {
    events.opened = [&](evio::Conn& conn, evio::Output& out, evio::Options&) {
      worker.know(conn);
      out = "!";
      return evio::Action::None;
    };
  }
  events.data = [&](evio::Conn& conn, const evio::Bytes& in, evio::Output&) {
    worker.take(conn, in);
    return evio::Action::None;
  };
  if (auto error = evio::serve(events, "tcp4://127.0.0.1:" + std::to_string(options.port))) {
    std::cerr << error.message() << '\n';
    return 1;
  }
}
