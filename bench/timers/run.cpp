#include "run.hpp"

#include <cstdlib>
#include <ctime>
#include <cxxopts.hpp>
#include <iostream>

namespace timers {

Options parse(int argc, char** argv) {
  Options options;
  cxxopts::Options description("timers", "Measures what a library's timers cost in processor time.");
  auto add = description.add_options();
  add("armed", "how many are armed", cxxopts::value(options.armed));
  add("times", "how often each thing is done, at least", cxxopts::value(options.times));
  add("help", "this text");
  try {
    if (description.parse(argc, argv).count("help") == 0 && options.armed > 0 && options.times > 0) return options;
  } catch (const cxxopts::exceptions::exception& error) {
    std::cerr << error.what() << '\n';
  }
  std::cerr << description.help();
  std::exit(2);
}

std::int64_t cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace timers
