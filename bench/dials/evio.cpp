// This library: Server::dial by the text of an address, and the callbacks of any connection.
#include <evio/evio.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "run.hpp"

namespace {

using evio::Action;
using evio::Conn;

std::vector<std::string> targets_of(const dials::Run& run) {
  std::vector<std::string> targets;
  for (std::size_t i = 0; i != dials::Run::kAddresses; ++i)
    targets.push_back("tcp://127.0.0." + std::to_string(i + 1) + ':' + std::to_string(run.port()));
  return targets;
}

/// Thread-safety: the loop's thread.
class EvioDials {
 public:
  explicit EvioDials(dials::Run& run) : run_(run), targets_(targets_of(run)) {}

  void run() {
    evio::Events events;
    events.serving = [this](const evio::Server& server) {
      server_ = server;
      server_.post(0, [this] { return dial_first(), Action::None; });
      return Action::None;
    };
    events.opened = [this](Conn& conn, evio::Output& out, evio::Options&) {
      if (!run_.options.echo) return end(conn);
      out.append(dials::kMessage);
      return Action::None;
    };
    events.data = [this](Conn& conn, const evio::Bytes& in, evio::Output&) {
      if (in.view() != dials::kMessage) dials::fail("data");
      return end(conn);
    };
    events.closed = [this](Conn&, const evio::Error&) {
      if (run_.end()) return Action::Shutdown;
      if (run_.more()) dial();
      return Action::None;
    };
    events.unreachable = [](Conn&, const evio::Error& error) { dials::fail(error.message().c_str()); };
    if (auto error = evio::serve(std::move(events), "tcp4://127.0.0.1:0")) std::cerr << error.message() << '\n';
  }

 private:
  void dial() { server_.dial(targets_[run_.next()]); }
  void dial_first() {
    for (std::size_t i = 0; i != run_.options.at_once; ++i) dial();
  }
  Action end(Conn& conn) const {
    if (!run_.options.reset) return Action::Close;
    conn.abort();
    return Action::None;
  }

  dials::Run& run_;
  const std::vector<std::string> targets_;
  evio::Server server_;
};

}  // namespace

int main(int argc, char** argv) {
  dials::Run run(dials::parse(argc, argv));
  EvioDials(run).run();
  run.print();
}
