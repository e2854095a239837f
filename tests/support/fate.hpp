#pragma once

#include <cstddef>
#include <mutex>
#include <thread>
#include <utility>

#include "tests/support/sync.hpp"

namespace evio::test {

/// What becomes of a function that is passed to post() or post_after(), which holds a Token of this: how often it has
/// run, how often and where it was destroyed. Thread-safety: any thread.
class Fate {
 public:
  /// Move-only. What was moved from is no longer it. Thread-safety: one thread at a time.
  class Token {
   public:
    explicit Token(Fate& fate) noexcept : fate_(&fate) {}
    Token(Token&& other) noexcept : fate_(std::exchange(other.fate_, nullptr)) {}
    Token& operator=(Token&&) = delete;
    ~Token() {
      if (fate_ != nullptr) fate_->end();
    }
    void run() const { fate_->runs_.add(); }

   private:
    Fate* fate_;
  };

  Token token() noexcept { return Token(*this); }
  std::size_t runs() const { return runs_.value(); }
  std::size_t ends() const { return ends_.value(); }
  [[nodiscard]] bool wait_for_run() const { return runs_.wait_for(1); }
  [[nodiscard]] bool wait_for_end() const { return ends_.wait_for(1); }
  /// The thread that destroyed it.
  std::thread::id where() const {
    const std::lock_guard lock(mutex_);
    return where_;
  }

 private:
  void end() {
    {
      const std::lock_guard lock(mutex_);
      where_ = std::this_thread::get_id();
    }
    ends_.add();
  }

  Counter runs_;
  Counter ends_;
  mutable std::mutex mutex_;
  std::thread::id where_;
};

}  // namespace evio::test
