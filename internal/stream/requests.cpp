#include "internal/stream/requests.hpp"

#include <cstring>
#include <new>

namespace evio::internal {

Request* Request::make(std::size_t size, BlockPool& pool) noexcept {
  const bool pooled = size <= BlockPool::kBlock - sizeof(Request);
  void* const memory = pooled ? pool.get() : ::operator new(sizeof(Request) + size, std::nothrow);
  if (memory == nullptr) return nullptr;
  auto* const request = new (memory) Request;
  request->pooled = pooled;
  request->size = static_cast<std::uint32_t>(size);
  return request;
}

Request* Request::copy(std::string_view from, BlockPool& pool) noexcept {
  Request* const request = make(from.size(), pool);
  if (request != nullptr) std::memcpy(request->data(), from.data(), from.size());
  return request;
}

Request* Request::share(Bytes&& bytes, BlockPool& pool) noexcept {
  Request* const request = make(0, pool);
  if (request != nullptr) request->shared = std::move(bytes);
  return request;
}

void Request::destroy() noexcept {
  this->~Request();
  ::operator delete(this);
}

void RequestList::forget_wakes() noexcept {
  if (empty()) return;
  for (Request* at = last_->next; at->after_wake = false, at != last_; at = at->next) {
  }
}

// release, here and in add(): the loop that takes a request, or a wake, sees what was done before it. A later change by
// another thread does not break that, as it is a read-modify-write, too ([intro.races], release sequence).
Requests::Added Requests::send(Request* request) noexcept {
  static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ > kFlags, "the flags lie in the low bits of a Request's address");
  State state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((state & kClosed) != 0) {
      request->destroy();
      return Added::kClosed;
    }
    request->next = newest(state);
    request->after_wake = (state & kWokenLast) != 0;
    const State now = reinterpret_cast<State>(request) | (state & kWoken) | kAnnounced;
    if (state_.compare_exchange_weak(state, now, std::memory_order_release, std::memory_order_relaxed)) break;
  }
  return (state & kAnnounced) != 0 ? Added::kQueued : Added::kMustPost;
}

Requests::Added Requests::add(State flag, State state) noexcept {
  State now = 0;
  do {
    if ((state & kClosed) != 0) return Added::kClosed;
    now = state | flag | kAnnounced;
    if ((flag & ~state & kWoken) != 0) now |= kWokenLast;
  } while (!state_.compare_exchange_weak(state, now, std::memory_order_release, std::memory_order_relaxed));
  return (state & kAnnounced) != 0 ? Added::kQueued : Added::kMustPost;
}

RequestList Requests::in_order(State state) noexcept {
  RequestList list;
  list.last_ = newest(state);
  Request* first = nullptr;
  for (Request* at = list.last_; at != nullptr;) {
    Request* const older = std::exchange(at->next, first);
    first = at;
    at = older;
  }
  if (first != nullptr) list.last_->next = first;
  return list;
}

// acquire, here and below: pairs with the release of those who added something.
Requests::Taken Requests::take() noexcept {
  State state = state_.load(std::memory_order_relaxed);
  State left = 0;
  do {
    left = (state & kClosed) != 0 ? state & (kClosed | kWoken) : 0;
  } while (!state_.compare_exchange_weak(state, left, std::memory_order_acquire, std::memory_order_relaxed));
  Taken taken{in_order(state), (state & ~left & kWoken) != 0};
  if (taken.woken) wake_fence();
  return taken;
}

RequestList Requests::take_output() noexcept {
  State state = state_.load(std::memory_order_relaxed);
  State left = 0;
  do {
    left = state & (kClosed | kAnnounced | kWoken);
    if ((state & kWoken) != 0) left |= kWokenLast;  // what is sent from now on still leaves after that wake's output
  } while (!state_.compare_exchange_weak(state, left, std::memory_order_acquire, std::memory_order_relaxed));
  return in_order(state);
}

bool Requests::take_wake() noexcept {
  const bool woken = (state_.fetch_and(~kWoken, std::memory_order_acquire) & kWoken) != 0;
  if (woken) wake_fence();
  return woken;
}

}  // namespace evio::internal
