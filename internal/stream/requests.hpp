#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

#include "evio/bytes.hpp"
#include "evio/detail/task.hpp"
#include "internal/loop/block_pool.hpp"
#include "internal/stream/wake_fence.hpp"

namespace evio::internal {

/// What is asked of a connection from outside a callback's output: bytes to send, which are copied into the memory
/// after the object, or shared; a function to call; a new deadline; the end of its output.
///
/// A request made by with_room() has two owners. The thread that made it may append until it lets go; the loop seals
/// the text when it first reads it. The last owner to finish frees the request.
/// Thread-safety: its owner's; append() and let_go() the thread's that made it.
struct Request {
  using Copied = std::monostate;
  using Function = std::unique_ptr<ConnTask>;
  using Deadline = std::chrono::steady_clock::time_point;
  struct EndOutput {};
  using What = std::variant<Copied, Bytes, Function, Deadline, EndOutput>;

  Request* next = nullptr;
  What what;
  bool after_wake = false;  // a wake came just before it

  /// nullptr when there is no memory; then what `other` holds is destroyed. The bytes are fewer than 512 MiB.
  [[gnu::flatten]] static Request* copy(std::string_view from, BlockPool& pool) noexcept;
  /// As copy(), of at most half of the room.
  static Request* with_room(std::string_view from, BlockPool& pool) noexcept;
  static Request* share(Bytes&& bytes, BlockPool& pool) noexcept { return make(What(std::move(bytes)), pool); }
  static Request* make(What&& other, BlockPool& pool) noexcept;

  bool is_copied() const noexcept { return what.index() == 0; }
  bool is_bytes() const noexcept { return what.index() <= 1; }
  std::string_view text() const noexcept {
    if (is_copied()) [[likely]]
      return copied();
    return std::get_if<Bytes>(&what)->view();
  }
  std::string_view copied() const noexcept {
    if (memory_ == Memory::kTwoOwners) [[unlikely]]
      return sealed();
    return {reinterpret_cast<const char*>(this + 1), extent_.load(std::memory_order_relaxed)};
  }
  /// Ends it; its memory goes back to the pool or, when it is not from there, to the system.
  void recycle(BlockPool::Returned& returned) noexcept {
    if (memory_ != Memory::kPool) [[unlikely]]
      return recycle_slow(returned);
    if (!is_copied()) [[unlikely]]
      what = Copied();
    returned.add(memory());
  }
  /// The same of one alone.
  void recycle(BlockPool& pool) noexcept {
    if (memory_ == Memory::kPool && is_copied()) [[likely]]
      return pool.give_back(memory());
    BlockPool::Returned returned(pool);
    recycle(returned);
  }
  void destroy() noexcept;

  /// More text at its end. False, and nothing is added, once the loop has looked at it, or if there is no room.
  bool append(std::string_view more) noexcept;
  void let_go() noexcept;

  /// The most that with_room() takes.
  static constexpr std::size_t kMostWithRoom = 100;

 private:
  enum class Memory : std::uint8_t { kPool, kSystem, kTwoOwners };
  // How many bytes were copied, and of a request with two owners:
  static constexpr std::uint32_t kSealed = 1U << 31U;  // nothing is added any more
  static constexpr std::uint32_t kDone = 1U << 30U;    // the loop has ended it
  static constexpr std::uint32_t kLetGo = 1U << 29U;   // the thread has let it go
  static constexpr std::uint32_t kLength = kLetGo - 1;

  static Request* make(std::size_t size, BlockPool& pool) noexcept;
  char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  void* memory() noexcept { return reinterpret_cast<char*>(this) - slack_; }
  std::string_view sealed() const noexcept;
  bool was_let_go() noexcept;
  void recycle_slow(BlockPool::Returned& returned) noexcept;

  Memory memory_ = Memory::kPool;
  std::uint8_t slack_ = 0;  // bytes before it that belong to its memory
  mutable std::atomic<std::uint32_t> extent_{0};
};

/// Requests, oldest first. Owns them. A ring, so that one pointer reaches both ends. Thread-safety: one thread.
class RequestList {
 public:
  RequestList() = default;
  RequestList(RequestList&& other) noexcept : last_(std::exchange(other.last_, nullptr)) {}
  RequestList& operator=(RequestList&& other) noexcept {
    std::swap(last_, other.last_);
    return *this;
  }
  ~RequestList() {
    while (!empty()) pop()->destroy();
  }

  bool empty() const noexcept { return last_ == nullptr; }
  bool is_one() const noexcept { return last_ != nullptr && last_->next == last_; }
  Request& front() const noexcept { return *last_->next; }
  /// The oldest, which is the caller's from now on.
  [[nodiscard]] Request* pop() noexcept {
    Request* const first = last_->next;
    if (first == last_) {
      last_ = nullptr;
    } else {
      last_->next = first->next;
    }
    return first;
  }
  /// Removes the oldest, up to `most`, as long as take(request) returns true: then it has taken that over.
  template <class Take>
  void take_while(int most, Take take) {
    if (empty()) return;
    Request* const last = std::exchange(last_, nullptr);
    Request* at = last->next;
    const auto keep_rest = [&] {
      last->next = at;
      last_ = last;
    };
    try {
      for (; most != 0; --most) {
        Request* const next = at->next;
        if (!take(*at)) break;
        if (at == last) return;
        at = next;
      }
      keep_rest();
    } catch (...) {
      keep_rest();
      throw;
    }
  }
  /// Adds a request at the end, and owns it.
  void add(Request* request) noexcept {
    if (last_ == nullptr) {
      request->next = request;
    } else {
      request->next = std::exchange(last_->next, request);
    }
    last_ = request;
  }
  /// All of them go back to their loop's pool.
  void recycle(BlockPool& pool) noexcept {
    BlockPool::Returned returned(pool);
    while (!empty()) pop()->recycle(returned);
  }
  bool holds_function() const noexcept;
  /// Splits it before the first one that is not bytes, and returns the rest.
  RequestList split_at_function() noexcept;
  void append(RequestList more) noexcept {
    if (more.empty()) return;
    if (!empty()) std::swap(last_->next, more.last_->next);
    last_ = std::exchange(more.last_, nullptr);
  }
  /// Lets all of them leave, whatever wake they were sent after.
  void forget_wakes() noexcept;

 private:
  friend class Requests;
  Request* last_ = nullptr;  // whose `next` is the oldest
};

/// Holds what other threads ask of one connection, in order, until the loop takes it: requests, a wake, a pause, its
/// end. A thread that finds no note announced posts one to the loop; the threads that come before the loop looks only
/// add, so a flood costs one note.
///
/// It is a stack: any thread pushes onto it, and the loop takes it whole. Nobody waits for a lock. The loop's next look
/// finds every request whose call has returned, even while other threads have lost their processors. So all sends have
/// one order, whoever made them. A thread that has announced a note and stalls before it posts it delays that look,
/// unless there is input, for as long as it stalls.
/// Thread-safety: send(), add(), end_output(), wake(), pause(), resume(), close() and the questions any thread; the
/// rest the loop's.
class Requests {
 public:
  /// What became of a request: it was refused, as the connection is closing; a note is under way; or the caller must
  /// post one.
  enum class Added : std::uint8_t { kRefused, kQueued, kMustPost };

  Requests() = default;
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;
  ~Requests() {
    if (has_requests()) in_order(state_.load(std::memory_order_acquire));
  }

  /// Takes the request over, in any case. Bytes are refused after end_output(), too.
  [[nodiscard]] Added send(Request* request) noexcept { return push(request, kClosed | kOutputEnded, 0); }
  [[nodiscard]] Added add(Request* request) noexcept { return push(request, kClosed, 0); }
  /// From now on bytes are refused. Takes the request over, in any case.
  [[nodiscard]] Added end_output(Request* request) noexcept {
    return push(request, kClosed | kOutputEnded, kOutputEnded);
  }
  [[nodiscard]] Added wake() noexcept;
  [[nodiscard]] Added close() noexcept { return add_flags(kClosed, state_.load(std::memory_order_relaxed)); }
  /// Sets the flag. False when it is closed. The loop finds the flag when there is input: no note is needed.
  bool pause() noexcept;
  [[nodiscard]] Added resume() noexcept;

  /// True once nothing is taken any more: after close() or refuse().
  /// relaxed: what close() promises holds for those who know that it was called.
  bool closed() const noexcept { return (state_.load(std::memory_order_relaxed) & kClosed) != 0; }
  bool refuses_output() const noexcept {
    return (state_.load(std::memory_order_relaxed) & (kClosed | kOutputEnded)) != 0;
  }
  bool paused() const noexcept { return (state_.load(std::memory_order_relaxed) & kPaused) != 0; }
  /// The loop closes it: from now on everything is refused.
  void refuse() noexcept { state_.fetch_or(kClosed, std::memory_order_relaxed); }
  /// The loop ends its output: from now on bytes are refused.
  void refuse_output() noexcept { state_.fetch_or(kOutputEnded, std::memory_order_relaxed); }

  /// True while a wake waits. relaxed: as for closed().
  bool woken() const noexcept { return (state_.load(std::memory_order_relaxed) & kWoken) != 0; }
  /// True while there are requests. relaxed: as for closed().
  bool has_requests() const noexcept { return newest(state_.load(std::memory_order_relaxed)) != nullptr; }
  /// Whether what is sent now comes right behind `last`: the loop has not taken that one, and nothing has come since.
  /// `last` may be gone. relaxed: as for closed().
  bool would_follow(const Request* last) const noexcept {
    const State state = state_.load(std::memory_order_relaxed) & ~(kAnnounced | kWoken | kPaused);
    return last != nullptr && state == reinterpret_cast<State>(last);
  }
  /// True when nothing stands in the way of a message: it is not closed, paused or ended, and there are no requests:
  /// not here and not in what was taken. Several comparisons in one, as they stand in the way of every message.
  bool open_and_empty(const RequestList& taken) const noexcept {
    constexpr State kIrrelevant = kAnnounced | kWoken | kWokenLast;
    return ((state_.load(std::memory_order_relaxed) & ~kIrrelevant) | reinterpret_cast<State>(taken.last_)) == 0;
  }

  struct Taken {
    RequestList list;
    bool woken = false;  // data is to be called: before the first request that is after_wake, or else after all
  };
  /// Everything since the last time, on a note's behalf: from now on whoever asks for something posts a note. What the
  /// callers of wake() did before is visible from here on. A wake that close() or refuse() came after stays.
  Taken take() noexcept;
  /// The requests. What else there is, and the note, stay.
  RequestList take_requests() noexcept;
  /// Takes the wake that is left. True if there was one.
  bool take_wake() noexcept;

 private:
  // A pointer to the newest request, and flags in the bits that its alignment leaves free.
  using State = std::uintptr_t;
  static constexpr State kClosed = 1;
  static constexpr State kAnnounced = 2;  // a note is under way
  static constexpr State kWoken = 4;      // a wake waits
  static constexpr State kWokenLast = 8;  // and nothing was sent since
  static constexpr State kOutputEnded = 16;
  static constexpr State kPaused = 32;
  static constexpr State kFlags = 63;
  friend struct Request;

  static Request* newest(State state) noexcept { return reinterpret_cast<Request*>(state & ~kFlags); }
  static RequestList in_order(State state) noexcept;
  Added push(Request* request, State refused_by, State flag) noexcept;
  Added add_flags(State flag, State state) noexcept;

  std::atomic<State> state_{0};
};

inline Requests::Added Requests::wake() noexcept {
  wake_fence();
  const State state = state_.load(std::memory_order_relaxed);
  if (kMayLookFirst && (state & (kWoken | kClosed)) == kWoken) return Added::kQueued;
  return add_flags(kWoken, state);
}

}  // namespace evio::internal
