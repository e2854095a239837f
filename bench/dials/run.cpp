#include "run.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <cxxopts.hpp>
#include <iostream>
#include <thread>

namespace dials {
namespace {

std::int64_t time_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int listen_everywhere(std::uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof at;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&at), size) != 0 || listen(fd, 4096) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    fail("listen");
  port = ntohs(at.sin_port);
  return fd;
}

void move_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
}

}  // namespace

Options parse(int argc, char** argv) {
  Options options;
  cxxopts::Options description("dials", "Measures what a library's connections to others cost in processor time.");
  auto add = description.add_options();
  add("at-once", "how many are under way", cxxopts::value(options.at_once));
  add("times", "how many are counted", cxxopts::value(options.times));
  add("echo", "a message there and back on each", cxxopts::value(options.echo));
  add("reset", "each ends by a reset, else by close(2)", cxxopts::value(options.reset));
  add("peer-cpu", "the processor of the listener", cxxopts::value(options.peer_cpu));
  add("help", "this text");
  try {
    if (description.parse(argc, argv).count("help") == 0 && options.at_once > 0 && options.times > 0) return options;
  } catch (const cxxopts::exceptions::exception& error) {
    std::cerr << error.what() << '\n';
  }
  std::cerr << description.help();
  std::exit(2);
}

void fail(const char* what) {
  std::cerr << "dials: " << what << ": " << std::strerror(errno) << std::endl;
  std::_Exit(1);
}

Run::Run(const Options& with) : options(with) {
  listener_ = listen_everywhere(port_);
  std::thread([fd = listener_, cpu = options.peer_cpu] {
    move_to(cpu);
    serve_peer(fd);
  }).detach();
}

bool Run::end() {
  ++ended_;
  if (ended_ == kBefore) {
    cpu_ = time_of(CLOCK_THREAD_CPUTIME_ID);
    time_ = time_of(CLOCK_MONOTONIC);
  }
  if (ended_ != kBefore + options.times) return false;
  cpu_ = time_of(CLOCK_THREAD_CPUTIME_ID) - cpu_;
  time_ = time_of(CLOCK_MONOTONIC) - time_;
  return true;
}

void Run::print() {
  if (ended_ != kBefore + options.times) fail("not all were made");
  const auto times = static_cast<double>(options.times);
  std::printf("rate=%.1f cpu_ns=%.1f\n", times * 1e9 / static_cast<double>(time_), static_cast<double>(cpu_) / times);
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace dials
