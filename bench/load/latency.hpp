#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace load {

/// A histogram of nanoseconds, right to within 1.6 %, in constant memory.
/// Thread-safety: one thread at a time.
class Latency {
 public:
  void add(std::int64_t nanoseconds, std::uint64_t times = 1) {
    counts_[index_of(nanoseconds < 0 ? 0 : static_cast<std::uint64_t>(nanoseconds))] += times;
    total_ += times;
  }

  void merge(const Latency& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }

  std::uint64_t count() const { return total_; }

  /// The value in microseconds that `part` (0 to 1) of all samples do not exceed; 0 without samples.
  double microseconds(double part) const {
    const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return static_cast<double>(middle_of(i)) / 1000.0;
    }
    return 0;
  }

 private:
  static constexpr unsigned kBits = 6;
  static constexpr std::size_t kSub = std::size_t{1} << kBits;

  static std::size_t index_of(std::uint64_t value) {
    if (value < kSub) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (static_cast<std::size_t>(shift) + 1) * kSub + static_cast<std::size_t>((value >> shift) - kSub);
  }

  static std::uint64_t middle_of(std::size_t index) {
    if (index < kSub) return index;
    const std::size_t shift = index / kSub - 1;
    const std::uint64_t low = (kSub + index % kSub) << shift;
    return low + ((std::uint64_t{1} << shift) >> 1U);
  }

  std::array<std::uint64_t, kSub * 60> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace load
