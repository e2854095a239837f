#pragma once

#include <atomic>
#include <chrono>
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

class NameAsker;

/// A name that is looked up, or waits for it.
struct LookUp {
  using Name = std::pair<std::string, int>;  // with the family

  Name name;
  std::chrono::steady_clock::time_point began;
  std::vector<RefPtr<NameAsker>> askers;
  Resolved resolved;  // of the thread that looks it up, then constant
};

/// Who asks for the addresses of a name. Its on_continue() is called on the loop of the queue when they are known;
/// where there is no memory for that note, the loop is told to sweep. Thread-safety: its loop's thread.
class NameAsker : public NoteTarget {
 protected:
  explicit NameAsker(RefPtr<NoteQueue> queue) noexcept : queue_(std::move(queue)) {}

  /// Once; null before there is an answer, and afterwards.
  std::shared_ptr<const Resolved> take_answer() noexcept {
    // acquire: what was written before it was set.
    return answered_.exchange(false, std::memory_order_acquire) ? std::move(answer_) : nullptr;
  }

 private:
  friend class NameLookups;
  const RefPtr<NoteQueue> queue_;
  std::shared_ptr<LookUp> look_up_;
  std::shared_ptr<const Resolved> answer_;  // to be taken once answered_
  std::atomic<bool> answered_{false};
};

/// Looks up names, on threads of its own: getaddrinfo(3) may take as long as it likes. The threads are started when
/// they are needed, and are never more than kMostThreads; those that ask for one name within kShared share one look-up.
/// So a name whose look-up hangs takes a thread now and then, and the others go on. Who asks for that name later, or
/// once nobody waits for it any more, has it looked up anew.
///
/// At the end nobody waits for a look-up that is under way: its thread ends by itself, and touches only what it shares
/// with this object. Thread-safety: any thread.
class NameLookups {
 public:
  static constexpr std::size_t kMostThreads = 256;
  /// So many wait for the next name; others end when they have nothing to do.
  static constexpr std::size_t kMostIdle = 16;
  /// No longer: what hung before may have an answer now.
  static constexpr std::chrono::seconds kShared{2};

  NameLookups() : state_(std::make_shared<State>()) {}
  ~NameLookups() { end(); }
  NameLookups(const NameLookups&) = delete;
  NameLookups& operator=(const NameLookups&) = delete;

  /// Looks up the addresses of that family, AF_UNSPEC for both; their ports are 0. An error if no thread could be
  /// started: then `asker` hears nothing. Throws std::bad_alloc.
  std::error_code ask(const std::string& host, int family, RefPtr<NameAsker> asker);
  /// It waits no longer; it may hear of the addresses all the same.
  void forget(NameAsker& asker) noexcept;
  /// Answers nobody any more.
  void end() noexcept;

 private:
  using Name = LookUp::Name;
  using Askers = std::vector<RefPtr<NameAsker>>;
  struct Worker {
    std::thread thread;
    bool busy = false;
  };
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::multimap<Name, std::shared_ptr<LookUp>> wanted;  // those that somebody waits for
    std::deque<std::shared_ptr<LookUp>> waiting;          // those of them that no thread has begun
    std::vector<std::unique_ptr<Worker>> workers;
    std::size_t idle = 0;
    bool ended = false;
  };

  static void work(const std::shared_ptr<State>& state, Worker& self) noexcept;
  static Resolved resolve(const Name& name) noexcept;
  static void answer(const std::shared_ptr<LookUp>& look_up, const Askers& askers) noexcept;
  static std::shared_ptr<LookUp> newest_of(const State& state, const Name& name);
  static void join(const std::shared_ptr<LookUp>& look_up, RefPtr<NameAsker> asker);
  static void unlist(State& state, const LookUp& look_up) noexcept;
  static void leave(State& state, Worker& self) noexcept;
  std::error_code add_worker() noexcept;

  std::shared_ptr<State> state_;
};

}  // namespace evio::internal
