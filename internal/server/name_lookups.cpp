#include "internal/server/name_lookups.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <new>

namespace evio::internal {

std::error_code NameLookups::ask(const std::string& host, int family, RefPtr<NameAsker> asker) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.ended) return std::make_error_code(std::errc::operation_canceled);
  const Name name(host, family);
  const auto now = std::chrono::steady_clock::now();
  if (const std::shared_ptr<LookUp> newest = newest_of(state, name);
      newest != nullptr && now - newest->began <= kShared) {
    join(newest, std::move(asker));
    return {};
  }
  const auto place = state.wanted.emplace(name, std::make_shared<LookUp>(LookUp{name, now, {}, {}}));
  try {
    join(place->second, std::move(asker));
    state.waiting.push_back(place->second);
  } catch (...) {
    state.wanted.erase(place);
    throw;
  }
  if (state.idle >= state.waiting.size()) {
    state.changed.notify_one();
    return {};
  }
  const std::error_code err = state.workers.size() < kMostThreads ? add_worker() : std::error_code();
  if (!err || !state.workers.empty()) return {};  // those that there are will come to it
  state.waiting.pop_back();
  state.wanted.erase(place);
  return err;
}

// With the lock, as what follows.
std::shared_ptr<LookUp> NameLookups::newest_of(const State& state, const Name& name) {
  const auto [first, last] = state.wanted.equal_range(name);
  return first == last ? nullptr : std::prev(last)->second;  // they are in the order in which they were added
}

void NameLookups::join(const std::shared_ptr<LookUp>& look_up, RefPtr<NameAsker> asker) {
  asker->look_up_ = look_up;
  look_up->askers.push_back(std::move(asker));
}

void NameLookups::unlist(State& state, const LookUp& look_up) noexcept {
  const auto [first, last] = state.wanted.equal_range(look_up.name);
  const auto place = std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &look_up; });
  if (place != last) state.wanted.erase(place);
}

void NameLookups::forget(NameAsker& asker) noexcept {
  const std::shared_ptr<LookUp> look_up = std::move(asker.look_up_);
  if (look_up == nullptr) return;
  RefPtr<NameAsker> forgotten;  // the lock ends first
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const auto own = std::ranges::find(look_up->askers, &asker, &RefPtr<NameAsker>::get);
  if (own == look_up->askers.end()) return;
  forgotten = std::move(*own);
  look_up->askers.erase(own);
  if (!look_up->askers.empty()) return;
  unlist(state, *look_up);
  std::erase(state.waiting, look_up);
}

// With the lock.
std::error_code NameLookups::add_worker() noexcept try {
  State& state = *state_;
  state.workers.push_back(std::make_unique<Worker>());
  Worker& worker = *state.workers.back();
  try {
    worker.thread = std::thread([shared = state_, &worker] { work(shared, worker); });
  } catch (...) {
    state.workers.pop_back();
    throw;
  }
  return {};
} catch (const std::system_error& e) {
  return e.code();
} catch (const std::bad_alloc&) {
  return std::make_error_code(std::errc::not_enough_memory);
}

void NameLookups::work(const std::shared_ptr<State>& state, Worker& self) noexcept {
  std::unique_lock lock(state->mutex);
  for (;;) {
    if (!state->ended && state->waiting.empty() && state->idle >= kMostIdle) return leave(*state, self);
    ++state->idle;
    state->changed.wait(lock, [&] { return state->ended || !state->waiting.empty(); });
    --state->idle;
    if (state->ended) return;
    const std::shared_ptr<LookUp> look_up = std::move(state->waiting.front());
    state->waiting.pop_front();
    self.busy = true;
    lock.unlock();
    look_up->resolved = resolve(look_up->name);
    lock.lock();
    if (state->ended) return;  // and nobody joins this thread
    self.busy = false;
    const Askers askers = std::move(look_up->askers);
    unlist(*state, *look_up);
    lock.unlock();
    answer(look_up, askers);
    lock.lock();
  }
}

// With the lock. Nobody joins this thread, which returns at once.
void NameLookups::leave(State& state, Worker& self) noexcept {
  const auto own = std::ranges::find(state.workers, &self, &std::unique_ptr<Worker>::get);
  self.thread.detach();
  state.workers.erase(own);
}

Resolved NameLookups::resolve(const Name& name) noexcept try {
  return resolve_peer(name.first, 0, name.second, true);
} catch (const std::bad_alloc&) {
  Resolved resolved;
  resolved.error = std::make_error_code(std::errc::not_enough_memory);
  return resolved;
}

// It needs memory for the notes alone, and can do without that.
void NameLookups::answer(const std::shared_ptr<LookUp>& look_up, const Askers& askers) noexcept {
  for (const RefPtr<NameAsker>& asker : askers) {
    asker->answer_ = std::shared_ptr<const Resolved>(look_up, &look_up->resolved);
    asker->answered_.store(true, std::memory_order_release);
    asker->retain();
    if (!asker->queue_->post({Note::Kind::kContinue, RefPtr<NoteTarget>(asker.get())}))
      asker->queue_->post(Signal::kSweep);
  }
}

void NameLookups::end() noexcept {
  std::vector<std::unique_ptr<Worker>> workers;
  std::multimap<Name, std::shared_ptr<LookUp>> wanted;
  {
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
    state_->waiting.clear();
    wanted.swap(state_->wanted);
    workers.swap(state_->workers);
  }
  state_->changed.notify_all();
  for (const auto& worker : workers) {
    // One that is busy, and has been since, finds that this has ended, and returns without touching its Worker.
    worker->busy ? worker->thread.detach() : worker->thread.join();
  }
  // A thread that is busy keeps its LookUp.
  for (const auto& [name, look_up] : wanted) look_up->askers.clear();
}

}  // namespace evio::internal
