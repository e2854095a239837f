// This library: Conn::wake and Conn::send.
#include <evio/evio.hpp>
#include <iostream>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "target.hpp"

namespace {

/// A connection's context is its number.
/// Thread-safety: connections are opened one by one, before anything is woken; then as Target.
class EvioTarget final : public notes::Target {
 public:
  EvioTarget(int loops, std::size_t connections) {
    woken = std::vector<notes::Woken>(connections);
    std::thread([this, loops] { serve(loops); }).detach();
    ready_.acquire();
    for (std::size_t i = 0; i < connections; ++i) {
      clients.push_back(load::connect_tcp(port_, 0, true));
      ready_.acquire();
    }
  }

  void wake(std::size_t conn) override { conns_[conn].wake(); }
  void send(std::size_t conn, std::string_view bytes) override { conns_[conn].send(bytes); }

 private:
  void serve(int loops) {
    evio::Events events;
    events.num_loops = loops;
    events.load_balance = evio::LoadBalance::RoundRobin;
    events.serving = [this](const evio::Server& server) {
      port_ = server.addrs().front().port();
      ready_.release();
      return evio::Action::None;
    };
    events.opened = [this](evio::Conn& conn, evio::Output&, evio::Options&) {
      conn.set_context(conns_.size());
      conns_.push_back(conn);
      ready_.release();
      return evio::Action::None;
    };
    events.data = [this](evio::Conn& conn, const evio::Bytes&, evio::Output&) {
      woken[*conn.context<std::size_t>()].add();
      return evio::Action::None;
    };
    if (auto error = evio::serve(std::move(events), "tcp4://127.0.0.1:0")) std::cerr << error.message() << '\n';
  }

  std::binary_semaphore ready_{0};
  int port_ = 0;
  std::vector<evio::Conn> conns_;
};

}  // namespace

int main(int argc, char** argv) {
  return notes::run(
      argc, argv, [](int loops, std::size_t connections) { return std::make_unique<EvioTarget>(loops, connections); });
}
