#include "internal/server/name_lookups.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <new>

namespace evio::internal {

std::error_code NameLookups::ask(const std::string& host, int family, RefPtr<NameAsker> asker) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.ended) return std::make_error_code(std::errc::operation_canceled);
  const auto [place, is_new] = state.wanted.try_emplace({host, family});
  try {
    if (is_new) place->second = std::make_shared<LookUp>(LookUp{place->first, {}});
    asker->look_up_ = place->second;
    place->second->askers.push_back(std::move(asker));
    if (!is_new) return {};
    state.waiting.push_back(place->second);
  } catch (...) {
    if (is_new) state.wanted.erase(place);
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
  state.wanted.erase(look_up->name);
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
    Resolved resolved = resolve(look_up->name);
    lock.lock();
    if (state->ended) return;  // and nobody joins this thread
    self.busy = false;
    const Askers askers = std::move(look_up->askers);
    // Where nobody waits for it any more, the name may be looked up anew by now.
    if (!askers.empty()) state->wanted.erase(look_up->name);
    lock.unlock();
    answer(askers, std::move(resolved));
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

// An asker that cannot be told, for want of memory, waits until its dial times out.
void NameLookups::answer(const Askers& askers, Resolved resolved) noexcept try {
  const auto shared = std::make_shared<const Resolved>(std::move(resolved));
  for (const RefPtr<NameAsker>& asker : askers) {
    asker->resolved_ = shared;
    asker->retain();
    asker->queue_->post({Note::Kind::kContinue, RefPtr<NoteTarget>(asker.get())});
  }
} catch (const std::bad_alloc&) {
}

void NameLookups::end() noexcept {
  std::vector<std::unique_ptr<Worker>> workers;
  std::map<Name, std::shared_ptr<LookUp>> wanted;
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
