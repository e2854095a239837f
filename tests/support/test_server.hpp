#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "evio/evio.hpp"
#include "tests/support/client.hpp"

namespace evio::test {

/// evio::serve on a thread of its own. The constructor returns when `serving` has returned (or serve has failed), the
/// destructor shuts down and joins. A serve that returns an error or throws fails the test, unless the test asked for
/// it by wait(). Thread-safety: shutdown() from any thread, all else on the test's.
class TestServer {
 public:
  TestServer(Events events, std::vector<std::string> addrs);
  TestServer(Events events, std::string addr) : TestServer(std::move(events), std::vector{std::move(addr)}) {}
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  /// Whether `serving` was called.
  bool started() const;
  /// The handle that `serving` got; of nothing when it was not called.
  const Server& handle() const noexcept { return handle_; }
  const Addr& addr(std::size_t i = 0) const { return handle_.addrs().at(i); }
  Client connect(std::size_t i = 0) const { return Client(addr(i)); }
  /// The thread that called serve.
  std::thread::id thread() const noexcept { return thread_id_; }

  void shutdown() const noexcept { handle_.shutdown(); }
  /// Waits until serve has returned, which it does not ask for. Returns what serve returned.
  const Error& wait();
  bool returned() const;
  /// What serve threw, after wait(); empty when it threw nothing.
  std::exception_ptr thrown() const noexcept { return thrown_; }
  /// The what() of that; empty when it threw nothing.
  std::string thrown_message() const;

 private:
  void run(Events events, const std::vector<std::string>& addrs);
  void join();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  bool ready_ = false;
  bool returned_ = false;
  bool asked_ = false;
  Server handle_;
  Error error_;
  std::exception_ptr thrown_;
  std::thread::id thread_id_;
  std::thread thread_;
};

}  // namespace evio::test
