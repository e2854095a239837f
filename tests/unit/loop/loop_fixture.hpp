#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "internal/loop/loop.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_poller.hpp"

namespace evio::internal {

/// Whatever a loop may call: says so in the log, and when it goes. Thread-safety: one thread.
class Subject final : public Pollable, public Endpoint {
 public:
  Subject(std::string name, std::vector<std::string>& log, const RefPtr<NoteQueue>& queue)
      : Endpoint(1, queue, 0), name_(std::move(name)), log_(log) {}

  std::function<void()> then;    // at the end of each call
  std::function<void()> at_end;  // when it goes

  bool wake() override { return false; }
  bool send(Bytes) override { return false; }
  bool send_copy(std::string_view) override { return false; }
  Addr local() const override { return {}; }
  Addr remote() const override { return {}; }
  bool close() override { return false; }
  void set_context(std::unique_ptr<Context>) override {}
  void on_ready() noexcept override { say(""); }
  void on_request() noexcept override { say(" request"); }
  void on_continue() noexcept override { say(" continue"); }
  void on_flush() noexcept override { say(" flush"); }
  void on_adopt(RefPtr<NoteTarget> self) noexcept override {
    EXPECT_EQ(self.get(), this);
    say(" adopt");
  }

 private:
  ~Subject() override {
    log_.push_back(name_ + " freed");
    if (at_end) at_end();
  }
  void say(const char* what) {
    log_.push_back(name_ + what);
    if (then) then();
  }

  const std::string name_;
  std::vector<std::string>& log_;
};

/// Says in the log when it runs. Thread-safety: one thread.
class TestTimer final : public Timer {
 public:
  explicit TestTimer(std::vector<std::string>& log) : log_(log) {}

 private:
  void on_timer(TimePoint) noexcept override { log_.emplace_back("timer"); }
  std::vector<std::string>& log_;
};

/// A loop whose poller and clock are the test's, and whose handler says what it is called for.
/// Thread-safety: one thread.
class LoopTest : public testing::Test, protected LoopHandler {
 protected:
  using Names = std::vector<std::string>;

  ~LoopTest() override {
    if (loop_) loop_->timers().disarm(timer_);
  }

  // A turn of the loop for each of these, and then it is shut down.
  void run(std::deque<std::function<void()>> turns) {
    poller_.turns = std::move(turns);
    poller_.afterwards = [this] { shut_down(); };
    loop_->run(*this);
  }
  void shut_down() {
    stop_.set();
    queue().post(Signal::kShutdown);
  }
  NoteQueue& queue() { return *loop_->queue(); }
  RefPtr<Subject> make(std::string name) { return RefPtr<Subject>(new Subject(std::move(name), log_, loop_->queue())); }
  bool post(const RefPtr<Subject>& about, Note::Kind kind = Note::Kind::kRequest) {
    return queue().post({kind, RefPtr<NoteTarget>(RefPtr<Subject>(about).detach())});
  }
  // As another thread would: what makes the difference is whose thread the queue believes it to be.
  void from_elsewhere(const std::function<void()>& act) {
    queue().leave_thread();
    act();
    queue().enter_thread();
  }
  void post_from_elsewhere(const RefPtr<Subject>& about, int times = 1) {
    from_elsewhere([&] {
      for (int i = 0; i != times; ++i) EXPECT_TRUE(post(about));
    });
  }
  // The log without the end of the loop, which is of no interest in most tests.
  Names before_shutdown() const { return {log_.begin(), std::find(log_.begin(), log_.end(), "shutdown")}; }
  std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(std::count(log_.begin(), log_.end(), name));
  }

  void on_shutdown() noexcept override {
    EXPECT_TRUE(loop_->stopping());
    log_.emplace_back("shutdown");
  }
  void on_tick() noexcept override { log_.emplace_back("tick"); }
  void on_sweep() noexcept override { log_.emplace_back("sweep"); }
  bool done() noexcept override {
    log_.emplace_back("done?");
    return left_to_do_-- == 0;
  }
  void on_end() noexcept override {
    log_.emplace_back("end");
    if (at_end_) at_end_();
  }

  test::FakeClock clock_;
  Names log_;
  StopFlag stop_;
  std::unique_ptr<test::FakePoller> owned_ = std::make_unique<test::FakePoller>();
  test::FakePoller& poller_ = *owned_;
  std::unique_ptr<Loop> loop_ = std::make_unique<Loop>(3, std::move(owned_), stop_);
  TestTimer timer_{log_};
  int left_to_do_ = 0;  // turns after the shutdown
  std::function<void()> at_end_;
};

}  // namespace evio::internal
