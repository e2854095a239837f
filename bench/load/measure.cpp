#include "measure.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include "proc.hpp"
#include "sockets.hpp"

namespace load {

namespace {

void wait_until(std::int64_t moment) {
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(moment)));
}

}  // namespace

int measure(const Options& options, const std::function<void(int, const Window&, Result&)>& work) {
  constexpr double kNanoseconds = 1e9;
  Window window;
  window.begin = now() + static_cast<std::int64_t>(options.warmup * kNanoseconds);
  window.end = window.begin + static_cast<std::int64_t>(options.seconds * kNanoseconds);
  std::vector<Result> results(static_cast<std::size_t>(options.threads));
  std::uint64_t cpu = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options.threads; ++i) {
      threads.emplace_back([&, i] { work(i, window, results[static_cast<std::size_t>(i)]); });
    }
    wait_until(window.begin);
    cpu = cpu_nanoseconds(options.pid);
    wait_until(window.end);
    cpu = cpu_nanoseconds(options.pid) - cpu;
  }
  Result all;
  for (const Result& result : results) all.merge(result);
  print(all, options.seconds, cpu);
  return 0;
}

}  // namespace load
