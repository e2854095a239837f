#pragma once

#include <array>
#include <cstddef>
#include <evio/evio.hpp>
#include <functional>
#include <limits>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace redis {

/// The keys and their values, shared by all loops. They are distributed over shards, each with its own lock, so that
/// loops rarely contend. An operation on several keys holds all their locks, so that it is atomic.
/// Thread-safety: all methods may be called from any thread.
class Store {
 public:
  /// Calls use(value) under the key's lock. Returns false if there is no such key.
  template <class Use>
  bool get(std::string_view key, Use&& use) const {
    const Shard& shard = shards_[shard_of(key)];
    const std::shared_lock lock(shard.mutex);
    const auto found = shard.values.find(key);
    if (found == shard.values.end()) return false;
    use(found->second);
    return true;
  }
  void set(std::string_view key, std::string_view value);
  /// Returns how many of the keys existed.
  std::size_t remove(std::span<const std::string_view> keys);
  void clear();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const noexcept { return std::hash<std::string_view>()(key); }
  };
  using Values = std::unordered_map<std::string, evio::Bytes, Hash, std::equal_to<>>;
  struct alignas(64) Shard {  // so that no two locks share a cache line
    mutable std::shared_mutex mutex;
    Values values;
  };
  static constexpr std::size_t kShards = 16;
  using Locks = std::array<std::unique_lock<std::shared_mutex>, kShards>;

  // Uses bits of the hash that the map, which takes it modulo a prime, hardly depends on.
  static std::size_t shard_of(std::string_view key) noexcept {
    constexpr int kTopByte = std::numeric_limits<std::size_t>::digits - 8;
    return (Hash()(key) >> kTopByte) % kShards;
  }

  std::array<Shard, kShards> shards_;
};

}  // namespace redis
