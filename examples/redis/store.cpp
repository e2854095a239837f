#include "examples/redis/store.hpp"

#include <bitset>
#include <utility>

namespace redis {

void Store::set(std::string_view key, std::string_view value) {
  // A copy: sharing the received bytes would keep the whole read buffer alive.
  evio::Bytes bytes = evio::Bytes::copy(value);
  Shard& shard = shards_[shard_of(key)];
  const std::unique_lock lock(shard.mutex);
  const auto found = shard.values.find(key);
  if (found == shard.values.end()) {
    shard.values.emplace(key, std::move(bytes));
  } else {
    found->second.swap(bytes);
  }
}

std::size_t Store::remove(std::span<const std::string_view> keys) {
  std::bitset<kShards> concerned;
  for (const std::string_view key : keys) concerned.set(shard_of(key));
  Locks locks;
  for (std::size_t i = 0; i < kShards; ++i) {  // always in this order, so that no deadlock is possible
    if (concerned[i]) locks[i] = std::unique_lock(shards_[i].mutex);
  }
  std::size_t removed = 0;
  for (const std::string_view key : keys) {
    Values& values = shards_[shard_of(key)].values;
    const auto found = values.find(key);
    if (found == values.end()) continue;
    values.erase(found);
    ++removed;
  }
  return removed;
}

void Store::clear() {
  std::array<Values, kShards> old;  // destroyed after the locks have been released
  Locks locks;
  for (std::size_t i = 0; i < kShards; ++i) locks[i] = std::unique_lock(shards_[i].mutex);
  for (std::size_t i = 0; i < kShards; ++i) old[i].swap(shards_[i].values);
}

}  // namespace redis
