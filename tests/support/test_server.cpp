#include "tests/support/test_server.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {

TestServer::TestServer(Events events, std::vector<std::string> addrs) {
  std::unique_lock lock(mutex_);
  thread_ = std::thread(
      [this, events = std::move(events), addrs = std::move(addrs)]() mutable { run(std::move(events), addrs); });
  thread_id_ = thread_.get_id();
  if (!changed_.wait_for(lock, kPatience, [this] { return ready_ || returned_; })) {
    ADD_FAILURE() << "serve neither calls serving nor returns";
    dump_stacks();
  }
}

TestServer::~TestServer() {
  shutdown();
  join();
  if (asked_) return;
  if (error_) ADD_FAILURE() << "serve returned: " << error_.message();
  if (thrown_) ADD_FAILURE() << "serve threw: " << thrown_message();
}

bool TestServer::started() const {
  const std::lock_guard lock(mutex_);
  return started_;
}

bool TestServer::returned() const {
  const std::lock_guard lock(mutex_);
  return returned_;
}

const Error& TestServer::wait() {
  asked_ = true;
  join();
  return error_;
}

std::string TestServer::thrown_message() const {
  if (!thrown_) return "";
  try {
    std::rethrow_exception(thrown_);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

// With a `serving` around the test's own, which is called in between: what it sees and does is unchanged.
void TestServer::run(Events events, const std::vector<std::string>& addrs) {
  events.serving = [this, serving = std::move(events.serving)](const Server& server) {
    {
      const std::lock_guard lock(mutex_);
      handle_ = server;
      started_ = true;
    }
    const Action action = serving ? serving(server) : Action::None;
    const std::lock_guard lock(mutex_);
    ready_ = true;
    changed_.notify_all();
    return action;
  };
  Error error;
  std::exception_ptr thrown;
  try {
    error = serve(std::move(events), addrs);
  } catch (...) {
    thrown = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  thrown_ = std::move(thrown);
  returned_ = true;
  changed_.notify_all();
}

void TestServer::join() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [this] { return returned_; })) {
    ADD_FAILURE() << "serve does not return";
    dump_stacks();
  }
  lock.unlock();
  if (thread_.joinable()) thread_.join();
}

}  // namespace evio::test
