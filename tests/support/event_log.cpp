#include "tests/support/event_log.hpp"

#include <algorithm>
#include <utility>

namespace evio::test {

EventLog::List EventLog::all() const {
  const std::lock_guard lock(mutex_);
  return all_;
}

EventLog::List EventLog::of(std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? List{} : found->second;
}

std::vector<std::uint64_t> EventLog::ids() const {
  const std::lock_guard lock(mutex_);
  return ids_;
}

std::size_t EventLog::count(std::string_view event) const {
  const std::lock_guard lock(mutex_);
  return count_locked(event);
}

bool EventLog::wait_for(std::string_view event, std::size_t n) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return count_locked(event) >= n; });
}

void EventLog::add_to(std::uint64_t id, std::string event) {
  const std::lock_guard lock(mutex_);
  if (id != 0 && !by_id_.contains(id)) ids_.push_back(id);
  by_id_[id].push_back(event);
  all_.push_back(std::move(event));
  changed_.notify_all();
}

std::size_t EventLog::count_locked(std::string_view event) const {
  return static_cast<std::size_t>(std::count(all_.begin(), all_.end(), event));
}

}  // namespace evio::test
