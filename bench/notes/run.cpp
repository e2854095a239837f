#include <netinet/in.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxopts.hpp>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "bench/load/latency.hpp"
#include "reader.hpp"
#include "target.hpp"

namespace notes {

namespace {

struct Options {
  bool send = false;  // else wake
  int threads = 1;
  int loops = 1;
  int readers = 1;
  bool own_loop = false;          // each thread speaks to one loop, else to all of them in turn
  std::uint64_t notes = 200'000;  // flood: all threads together
  std::uint64_t pings = 20'000;   // ping: all threads together
  std::vector<int> loop_cpus;     // where the loops run; none: anywhere
  std::vector<int> thread_cpus;   // where those run that speak to them, and that read what is sent
};

// Moves the calling thread, and with it the threads that it starts from now on.
void move_to(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) load::fail("sched_setaffinity");
}

struct Measured {
  double seconds = 0;
  double cpu_seconds = 0;
  std::uint64_t calls = 0;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string_view bytes_of(const std::uint64_t& number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

/// Producers that share no connection: each has one in every loop and takes them in turn.
/// Thread-safety: the main thread.
class Bench {
 public:
  Bench(const Options& options, const MakeTarget& make)
      : options_(options), target_(make(options.loops, static_cast<std::size_t>(options.threads * options.loops))) {}

  // As fast as it goes; over when all have arrived.
  Measured flood() {
    const std::uint64_t each = options_.notes / static_cast<std::uint64_t>(options_.threads);
    std::optional<Reader> reader;
    if (options_.send)
      reader.emplace(target_->clients, each * static_cast<std::uint64_t>(options_.threads), options_.readers);
    return measured([&](std::size_t thread) { options_.send ? flood_sends(thread, each) : flood_wakes(thread, each); },
                    [&] {
                      if (reader) reader->wait();
                    });
  }

  // One note under way for each producer.
  Measured ping(load::Latency& latency) {
    const std::uint64_t each = options_.pings / static_cast<std::uint64_t>(options_.threads);
    std::vector<load::Latency> latencies(static_cast<std::size_t>(options_.threads));
    const Measured result = measured(
        [&](std::size_t thread) {
          for (std::uint64_t i = 0; i < each; ++i) {
            const std::size_t conn = conn_of(thread, i);
            const std::int64_t before = load::now();
            options_.send ? ping_send(conn, i) : ping_wake(conn);
            latencies[thread].add(load::now() - before);
          }
        },
        [] {});
    for (const load::Latency& one : latencies) latency.merge(one);
    return result;
  }

 private:
  std::size_t conn_of(std::size_t thread, std::uint64_t note) const {
    const auto loops = static_cast<std::size_t>(options_.loops);
    return thread * loops + (options_.own_loop ? thread : static_cast<std::size_t>(note)) % loops;
  }

  void flood_sends(std::size_t thread, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) target_->send(conn_of(thread, i), bytes_of(i));
  }

  void flood_wakes(std::size_t thread, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) target_->wake(conn_of(thread, i));
    for (int loop = 0; loop < options_.loops; ++loop) ping_wake(conn_of(thread, static_cast<std::uint64_t>(loop)));
  }

  void ping_wake(std::size_t conn) {
    const std::uint64_t seen = target_->woken[conn].count();
    target_->wake(conn);
    target_->woken[conn].wait_beyond(seen);
  }

  void ping_send(std::size_t conn, std::uint64_t number) {
    target_->send(conn, bytes_of(number));
    std::uint64_t back = 0;
    if (recv(target_->clients[conn].get(), &back, sizeof back, MSG_WAITALL) != sizeof back) load::fail("recv");
    if (back != number) load::wrong_byte(" from what was sent");
  }

  template <class Work, class Wait>
  Measured measured(Work work, Wait wait) {
    std::barrier start(options_.threads + 1);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < static_cast<std::size_t>(options_.threads); ++i) {
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        work(i);
      });
    }
    const std::uint64_t calls = wake_up_calls();
    const double cpu = cpu_seconds();
    const std::int64_t begin = load::now();
    start.arrive_and_wait();
    threads.clear();
    wait();
    return {static_cast<double>(load::now() - begin) / 1e9, cpu_seconds() - cpu, wake_up_calls() - calls};
  }

  const Options options_;
  std::unique_ptr<Target> target_;
};

Options parse(int argc, char** argv) {
  Options options;
  cxxopts::Options description("notes", "Measures how other threads reach a library's loops.");
  auto add = description.add_options();
  add("send", "send eight bytes to a connection's peer instead of waking it", cxxopts::value(options.send));
  add("threads", "how many threads do that", cxxopts::value(options.threads));
  add("loops", "how many loops they speak to", cxxopts::value(options.loops));
  add("own-loop", "each thread speaks to one loop, else to all of them in turn", cxxopts::value(options.own_loop));
  add("readers", "how many threads read what is sent", cxxopts::value(options.readers));
  add("notes", "how many as fast as it goes", cxxopts::value(options.notes));
  add("pings", "how many one after the other", cxxopts::value(options.pings));
  add("loop-cpus", "the processors of the loops, as in 0,1", cxxopts::value(options.loop_cpus));
  add("thread-cpus", "those of the threads, and of who reads what is sent", cxxopts::value(options.thread_cpus));
  add("help", "this text");
  try {
    if (description.parse(argc, argv).count("help") == 0) return options;
  } catch (const cxxopts::exceptions::exception& error) {
    std::cerr << error.what() << '\n';
  }
  std::cerr << description.help();
  std::exit(2);
}

}  // namespace

int run(int argc, char** argv, const MakeTarget& make) {
  const Options options = parse(argc, argv);
  move_to(options.loop_cpus);
  Bench bench(options, make);
  move_to(options.thread_cpus);
  load::Latency warming_up;
  bench.ping(warming_up);
  const Measured flood = bench.flood();
  load::Latency latency;
  const Measured ping = bench.ping(latency);
  const auto notes = static_cast<double>(options.notes);
  std::printf("rate=%.0f cpu_ns=%.0f calls=%.5f p50_us=%.1f p99_us=%.1f ping_calls=%.3f\n", notes / flood.seconds,
              flood.cpu_seconds / notes * 1e9, static_cast<double>(flood.calls) / notes, latency.microseconds(0.5),
              latency.microseconds(0.99), static_cast<double>(ping.calls) / static_cast<double>(latency.count()));
  std::fflush(stdout);
  std::_Exit(0);
}

Pair connect_pair() {
  const load::Descriptor listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener.get() < 0 || bind(listener.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
      listen(listener.get(), 1) != 0)
    load::fail("listen");
  Pair pair;
  pair.client = load::connect_tcp(load::port_of(listener.get()), 0, true);
  pair.server = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (pair.server < 0) load::fail("accept4");
  load::send_without_delay(pair.server);
  return pair;
}

}  // namespace notes
