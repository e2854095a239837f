#include "internal/server/name_lookups.hpp"

#include <sys/socket.h>

#include <new>

namespace evio::internal {

std::error_code NameLookups::ask(const std::string& host, int family, RefPtr<NameAsker> asker) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.ended) return std::make_error_code(std::errc::operation_canceled);
  const auto [place, is_new] = state.askers.try_emplace({host, family});
  try {
    place->second.push_back(std::move(asker));
    if (!is_new) return {};
    state.waiting.push_back(place->first);
  } catch (...) {
    if (is_new) state.askers.erase(place);
    throw;
  }
  if (state.idle >= state.waiting.size()) {
    state.changed.notify_one();
    return {};
  }
  const std::error_code err = state.workers.size() < kMostThreads ? add_worker() : std::error_code();
  if (!err || !state.workers.empty()) return {};  // those that there are will come to it
  state.waiting.pop_back();
  state.askers.erase(place);
  return err;
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
    ++state->idle;
    state->changed.wait(lock, [&] { return state->ended || !state->waiting.empty(); });
    --state->idle;
    if (state->ended) return;
    const Name name = std::move(state->waiting.front());
    state->waiting.pop_front();
    self.busy = true;
    lock.unlock();
    Resolved resolved;
    try {
      resolved = resolve_peer(name.first, 0, name.second, true);
    } catch (const std::bad_alloc&) {
      resolved.error = std::make_error_code(std::errc::not_enough_memory);
    }
    lock.lock();
    if (state->ended) return;  // and nobody joins this thread
    self.busy = false;
    const auto found = state->askers.find(name);
    const std::vector<RefPtr<NameAsker>> askers = std::move(found->second);
    state->askers.erase(found);
    lock.unlock();
    answer(askers, std::move(resolved));
    lock.lock();
  }
}

// An asker that cannot be told, for want of memory, waits until its dial times out.
void NameLookups::answer(const std::vector<RefPtr<NameAsker>>& askers, Resolved resolved) noexcept try {
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
  std::map<Name, std::vector<RefPtr<NameAsker>>> askers;
  {
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
    askers.swap(state_->askers);
    workers.swap(state_->workers);
  }
  state_->changed.notify_all();
  for (const auto& worker : workers) {
    // One that is busy, and has been since, finds that this has ended, and returns without touching its Worker.
    worker->busy ? worker->thread.detach() : worker->thread.join();
  }
}

}  // namespace evio::internal
