// asio as its users do it: asio::post, and for what is to be sent a string that collects while a write is under way.
#include <asio.hpp>
#include <string>
#include <thread>
#include <utility>

#include "target.hpp"

namespace {

/// Thread-safety: wake() and send() any thread, the rest its loop's.
class AsioConn {
 public:
  AsioConn(asio::io_context& context, int fd, notes::Woken& woken)
      : context_(context), socket_(context, asio::ip::tcp::v4(), fd), woken_(woken) {}

  void wake() {
    asio::post(context_, [this] { woken_.add(); });
  }
  void send(std::string_view bytes) {
    asio::post(context_, [this, text = std::string(bytes)] {
      pending_ += text;
      if (writing_.empty()) write();
    });
  }

 private:
  void write() {
    writing_.swap(pending_);
    asio::async_write(socket_, asio::buffer(writing_), [this](std::error_code error, std::size_t) {
      if (error) load::fail("async_write");
      writing_.clear();
      if (!pending_.empty()) write();
    });
  }

  asio::io_context& context_;
  asio::ip::tcp::socket socket_;
  notes::Woken& woken_;
  std::string pending_;
  std::string writing_;
};

/// Thread-safety: as Target's.
class AsioTarget final : public notes::Target {
 public:
  AsioTarget(int loops, std::size_t connections) {
    woken = std::vector<notes::Woken>(connections);
    for (int i = 0; i < loops; ++i) contexts_.push_back(std::make_unique<asio::io_context>(1));
    for (std::size_t i = 0; i < connections; ++i) {
      notes::Pair pair = notes::connect_pair();
      clients.push_back(std::move(pair.client));
      conns_.push_back(std::make_unique<AsioConn>(*contexts_[i % contexts_.size()], pair.server, woken[i]));
    }
    for (const auto& context : contexts_) std::thread([&context = *context] { run(context); }).detach();
  }

  void wake(std::size_t conn) override { conns_[conn]->wake(); }
  void send(std::size_t conn, std::string_view bytes) override { conns_[conn]->send(bytes); }

 private:
  static void run(asio::io_context& context) {
    const auto for_ever = asio::make_work_guard(context);
    context.run();
  }

  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::vector<std::unique_ptr<AsioConn>> conns_;
};

}  // namespace

int main(int argc, char** argv) {
  return notes::run(
      argc, argv, [](int loops, std::size_t connections) { return std::make_unique<AsioTarget>(loops, connections); });
}
