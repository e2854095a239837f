#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "internal/loop/note_queue.hpp"
#include "internal/net/resolver.hpp"

namespace evio::internal {

/// Who asks for the addresses of a name. Its on_continue() is called on the loop of the queue when they are known.
/// Thread-safety: its loop's thread.
class NameAsker : public NoteTarget {
 protected:
  explicit NameAsker(RefPtr<NoteQueue> queue) noexcept : queue_(std::move(queue)) {}

  std::shared_ptr<const Resolved> resolved_;

 private:
  friend class NameLookups;
  const RefPtr<NoteQueue> queue_;
};

/// Looks up names, on threads of its own: getaddrinfo(3) may take as long as it likes. The threads are started when
/// they are first needed, and are never more than kMostThreads; those that ask for one name at a time share one
/// look-up. So a name whose look-up hangs takes one thread, and the others go on.
///
/// At the end nobody waits for a look-up that is under way: its thread ends by itself, and touches only what it shares
/// with this object. Thread-safety: any thread.
class NameLookups {
 public:
  static constexpr std::size_t kMostThreads = 16;

  NameLookups() : state_(std::make_shared<State>()) {}
  ~NameLookups() { end(); }
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  /// Looks up the addresses of that family, AF_UNSPEC for both; their ports are 0. An error if no thread could be
  /// started: then `asker` hears nothing. Throws std::bad_alloc.
  std::error_code ask(const std::string& host, int family, RefPtr<NameAsker> asker);
  /// Answers nobody any more.
  void end() noexcept;

 private:
  using Name = std::pair<std::string, int>;
  struct Worker {
    std::thread thread;
    bool busy = false;
  };
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<Name, std::vector<RefPtr<NameAsker>>> askers;  // of the names that are looked up, or wait for it
    std::deque<Name> waiting;
    std::vector<std::unique_ptr<Worker>> workers;
    std::size_t idle = 0;
    bool ended = false;
  };

  static void work(const std::shared_ptr<State>& state, Worker& self) noexcept;
  static void answer(const std::vector<RefPtr<NameAsker>>& askers, Resolved resolved) noexcept;
  std::error_code add_worker() noexcept;

  std::shared_ptr<State> state_;
};

}  // namespace evio::internal
