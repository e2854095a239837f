#pragma once

#include <chrono>
#include <cstdint>

namespace evio::test {

/// How often is enough for what a test does again and again in search of a rare moment: `number` times, or, on a
/// machine that has others to serve, as often as it came to in a good while, but never less than `least`.
/// Thread-safety: any thread.
class Enough {
 public:
  explicit Enough(std::uint64_t number, std::uint64_t least = 20) : number_(number), least_(least) {}

  bool reached(std::uint64_t done) const {
    return done >= number_ || (done >= least_ && std::chrono::steady_clock::now() > until_);
  }

 private:
  static constexpr std::chrono::seconds kGoodWhile{3};

  std::uint64_t number_;
  std::uint64_t least_;
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + kGoodWhile;
};

}  // namespace evio::test
