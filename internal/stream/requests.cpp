#include "internal/stream/requests.hpp"

#include <cstring>
#include <new>

#include "internal/base/assert.hpp"
#include "internal/base/thread_blocks.hpp"

namespace evio::internal {

namespace {

// The flags of Requests lie in the low bits of a request's address, which operator new does not leave free.
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kRoom = BlockPool::kBlock - (kAlignment - __STDCPP_DEFAULT_NEW_ALIGNMENT__) - sizeof(Request);

}  // namespace

Request* Request::make(std::size_t size, BlockPool& pool) noexcept {
  static_assert(kAlignment == Requests::kFlags + 1);
  const bool pooled = size <= kRoom;
  void* const memory = pooled ? pool.get() : ::operator new(kAlignment + sizeof(Request) + size, std::nothrow);
  if (memory == nullptr) return nullptr;
  const std::size_t slack = -reinterpret_cast<std::uintptr_t>(memory) % kAlignment;
  auto* const request = new (static_cast<char*>(memory) + slack) Request;
  request->memory_ = pooled ? Memory::kPool : Memory::kSystem;
  request->slack_ = static_cast<std::uint8_t>(slack);
  request->extent_.store(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
  return request;
}

Request* Request::copy(std::string_view from, BlockPool& pool) noexcept {
  Request* const request = make(from.size(), pool);
  if (request != nullptr) std::memcpy(request->data(), from.data(), from.size());
  return request;
}

Request* Request::with_room(std::string_view from, BlockPool& pool) noexcept {
  static_assert(2 * kMostWithRoom <= kRoom);
  EVIO_ASSERT(from.size() <= kMostWithRoom);
  Request* const request = copy(from, pool);
  if (request != nullptr) request->memory_ = Memory::kTwoOwners;
  return request;
}

Request* Request::make(What&& other, BlockPool& pool) noexcept {
  Request* const request = make(0, pool);
  if (request != nullptr) {
    request->what = std::move(other);
  } else {
    other = Copied();
  }
  return request;
}

// The loop reads no further than it has seen, so that what is copied in vain harms nobody.
// release: pairs with sealed().
bool Request::append(std::string_view more) noexcept {
  std::uint32_t size = extent_.load(std::memory_order_relaxed);
  if ((size & kSealed) != 0 || more.size() > kRoom - size) return false;
  std::memcpy(data() + size, more.data(), more.size());
  return extent_.compare_exchange_strong(size, size + static_cast<std::uint32_t>(more.size()),
                                         std::memory_order_release, std::memory_order_relaxed);
}

std::string_view Request::sealed() const noexcept {
  const std::uint32_t size = extent_.fetch_or(kSealed, std::memory_order_acquire) & kLength;
  return {reinterpret_cast<const char*>(this + 1), size};
}

// The loop's. acq_rel, as below: what one owner did comes before the other one ends it.
bool Request::was_let_go() noexcept {
  return (extent_.fetch_or(kSealed | kDone, std::memory_order_acq_rel) & kLetGo) != 0;
}

void Request::let_go() noexcept {
  if ((extent_.fetch_or(kLetGo, std::memory_order_acq_rel) & kDone) == 0) return;
  void* const whole = memory();
  this->~Request();
  if (!ThreadBlocks<BlockPool>::put(whole)) ::operator delete(whole);
}

void Request::recycle_slow(BlockPool::Returned& returned) noexcept {
  if (memory_ == Memory::kSystem) return destroy();
  if (was_let_go()) returned.add(memory());
}

void Request::destroy() noexcept {
  if (memory_ == Memory::kTwoOwners && !was_let_go()) return;
  void* const whole = memory();
  this->~Request();
  ::operator delete(whole);
}

void RequestList::forget_wakes() noexcept {
  if (empty()) return;
  for (Request* at = last_->next; at->after_wake = false, at != last_; at = at->next) {
  }
}

bool RequestList::holds_function() const noexcept {
  if (empty()) return false;
  const Request* at = last_->next;
  while (at->is_bytes() && at != last_) at = at->next;
  return !at->is_bytes();
}

RequestList RequestList::split_at_function() noexcept {
  RequestList rest;
  if (empty()) return rest;
  Request* before = last_;
  for (Request* at = last_->next; at->is_bytes(); before = at, at = at->next) {
    if (at == last_) return rest;
  }
  Request* const first = before->next;
  rest.last_ = last_;
  if (first == last_->next) {
    last_ = nullptr;
  } else {
    before->next = std::exchange(last_->next, first);
    last_ = before;
  }
  return rest;
}

// release, here and in add_flags(): the loop that takes a request, or a wake, sees what was done before it. A later
// change by another thread does not break that, as it is a read-modify-write, too ([intro.races], release sequence).
Requests::Added Requests::push(Request* request, State refused_by, State flag) noexcept {
  State state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((state & refused_by) != 0) {
      request->destroy();
      return Added::kRefused;
    }
    request->next = newest(state);
    request->after_wake = (state & kWokenLast) != 0;
    const State now =
        reinterpret_cast<State>(request) | (state & (kWoken | kOutputEnded | kPaused)) | kAnnounced | flag;
    if (state_.compare_exchange_weak(state, now, std::memory_order_release, std::memory_order_relaxed)) break;
  }
  return (state & kAnnounced) != 0 ? Added::kQueued : Added::kMustPost;
}

Requests::Added Requests::add_flags(State flag, State state) noexcept {
  State now = 0;
  do {
    if ((state & kClosed) != 0) return Added::kRefused;
    now = state | flag | kAnnounced;
    if ((flag & ~state & kWoken) != 0) now |= kWokenLast;
  } while (!state_.compare_exchange_weak(state, now, std::memory_order_release, std::memory_order_relaxed));
  return (state & kAnnounced) != 0 ? Added::kQueued : Added::kMustPost;
}

bool Requests::pause() noexcept { return (state_.fetch_or(kPaused, std::memory_order_release) & kClosed) == 0; }

Requests::Added Requests::resume() noexcept {
  State state = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((state & kClosed) != 0) return Added::kRefused;
    if ((state & kPaused) == 0) return Added::kQueued;
    const State now = (state & ~kPaused) | kAnnounced;
    if (state_.compare_exchange_weak(state, now, std::memory_order_release, std::memory_order_relaxed)) break;
  }
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
    left = state & (kOutputEnded | kPaused);
    if ((state & kClosed) != 0) left |= state & (kClosed | kWoken);
  } while (!state_.compare_exchange_weak(state, left, std::memory_order_acquire, std::memory_order_relaxed));
  Taken taken{in_order(state), (state & ~left & kWoken) != 0};
  if (taken.woken) wake_fence();
  return taken;
}

RequestList Requests::take_requests() noexcept {
  State state = state_.load(std::memory_order_relaxed);
  State left = 0;
  do {
    left = state & (kClosed | kAnnounced | kWoken | kOutputEnded | kPaused);
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
