// libuv as its users do it: one uv_async_t a connection, and for what is to be sent a string behind a mutex, for
// uv_async_send carries nothing.
#include <uv.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "target.hpp"

namespace {

/// Thread-safety: wake() and send() any thread, the rest its loop's.
class UvConn {
 public:
  UvConn(uv_loop_t& loop, int fd, notes::Woken& woken) : woken_(woken) {
    uv_tcp_init(&loop, &socket_);
    if (uv_tcp_open(&socket_, fd) != 0) load::fail("uv_tcp_open");
    uv_async_init(&loop, &async_, [](uv_async_t* async) { static_cast<UvConn*>(async->data)->called(); });
    async_.data = this;
  }

  void wake() {
#ifdef NOTES_FENCED  // so that the callback sees what was written before, also where one is pending already
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
    uv_async_send(&async_);
  }
  void send(std::string_view bytes) {
    {
      const std::lock_guard lock(mutex_);
      pending_.append(bytes);
    }
    uv_async_send(&async_);
  }

 private:
  struct Write {
    uv_write_t request{};
    std::string bytes;
  };

  void called() {
    std::string bytes;
    {
      const std::lock_guard lock(mutex_);
      bytes.swap(pending_);
    }
    if (bytes.empty()) return woken_.add();
    uv_buf_t out = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
    const int sent = uv_try_write(reinterpret_cast<uv_stream_t*>(&socket_), &out, 1);
    if (sent != static_cast<int>(bytes.size())) write_rest(bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent)));
  }

  void write_rest(std::string rest) {
    auto* const write = new Write{{}, std::move(rest)};
    write->request.data = write;
    uv_buf_t out = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
    uv_write(&write->request, reinterpret_cast<uv_stream_t*>(&socket_), &out, 1,
             [](uv_write_t* request, int) { delete static_cast<Write*>(request->data); });
  }

  notes::Woken& woken_;
  uv_tcp_t socket_{};
  uv_async_t async_{};
  std::mutex mutex_;
  std::string pending_;
};

/// Thread-safety: as Target's.
class UvTarget final : public notes::Target {
 public:
  UvTarget(int loops, std::size_t connections) : loops_(static_cast<std::size_t>(loops)) {
    woken = std::vector<notes::Woken>(connections);
    for (uv_loop_t& loop : loops_) uv_loop_init(&loop);
    for (std::size_t i = 0; i < connections; ++i) {
      notes::Pair pair = notes::connect_pair();
      clients.push_back(std::move(pair.client));
      conns_.push_back(std::make_unique<UvConn>(loops_[i % loops_.size()], pair.server, woken[i]));
    }
    for (uv_loop_t& loop : loops_) std::thread([&loop] { uv_run(&loop, UV_RUN_DEFAULT); }).detach();
  }

  void wake(std::size_t conn) override { conns_[conn]->wake(); }
  void send(std::size_t conn, std::string_view bytes) override { conns_[conn]->send(bytes); }

 private:
  std::vector<uv_loop_t> loops_;
  std::vector<std::unique_ptr<UvConn>> conns_;
};

}  // namespace

int main(int argc, char** argv) {
  return notes::run(argc, argv,
                    [](int loops, std::size_t connections) { return std::make_unique<UvTarget>(loops, connections); });
}
