// Answers each line, the name of a file in this folder, with its size and its lines, read by a pool of threads: reading
// may block, and a callback must not. A client's answers come in the order of its lines, all of them also if it has
// ended its side. It may have 64 jobs at once; the rest of its lines waits.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <evio/evio.hpp>
#include <fstream>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "examples/flags.hpp"
#include "examples/program.hpp"

namespace {

constexpr std::size_t kMostJobs = 64;  // of one connection
constexpr std::size_t kMostLine = 255;

// Runs jobs on its own threads. The destructor waits for those that have begun and drops the others.
// Thread-safety: add() may be called from any thread.
class Pool {
 public:
  explicit Pool(int threads) {
    while (threads-- > 0) threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
  void add(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    added_.notify_one();
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (added_.wait(lock, stop, [this] { return !jobs_.empty(); }) && !stop.stop_requested()) {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any added_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::jthread> threads_;  // last: they use the others
};

// A connection's context.
struct Session {
  evio::InputStream input;
  std::deque<std::optional<std::string>> answers;  // of the jobs under way, in the order of their lines
  bool ended = false;
};

std::string count_lines(const std::string& name) {
  std::ifstream file;
  if (name.find('/') == name.npos) file.open(name);
  if (!file.is_open()) return name + ": cannot be read\n";
  const auto lines = std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  return name + ": " + std::to_string(lines) + " lines\n";
}

// Sends the answers whose turn it is, and makes jobs of the lines that have come: as many as there may be, and none
// while answers wait for the client to read.
evio::Action go_on(Pool& pool, evio::Conn& conn, const evio::Bytes& in, evio::Output& out) {
  auto& [input, answers, ended] = *conn.context<Session>();
  for (; !answers.empty() && answers.front(); answers.pop_front()) out.append(*answers.front());
  const auto is_full = [&, &jobs = answers] { return jobs.size() >= kMostJobs || conn.pending() > 0; };
  bool too_long = false;
  input.feed(in, [&, &jobs = answers](std::string_view unread) -> std::size_t {
    const std::size_t end = unread.find('\n');
    too_long = std::min(end, unread.size()) > kMostLine;
    if (too_long || end == unread.npos || is_full()) return 0;
    auto* const answer = &jobs.emplace_back();  // stays where it is until it is sent
    pool.add([&pool, conn, answer, name = std::string(unread.substr(0, end))] {
      conn.post([&pool, answer, text = count_lines(name)](evio::Conn& self, evio::Output& more) {
        *answer = text;
        return go_on(pool, self, {}, more);
      });
    });
    return end + 1;
  });
  is_full() ? conn.pause() : conn.resume();
  return too_long || (ended && answers.empty()) ? evio::Action::Close : evio::Action::None;
}

evio::Events events_of(Pool& pool) {
  evio::Events events;
  events.opened = [](evio::Conn& conn, evio::Output&, evio::Options& opts) {
    conn.set_context(Session());
    opts.half_open = true;
    return evio::Action::None;
  };
  events.data = [&pool](auto& conn, const evio::Bytes& in, auto& out) { return go_on(pool, conn, in, out); };
  events.drained = [&pool](auto& conn, auto& out) { return go_on(pool, conn, {}, out); };
  events.ended = [&pool](auto& conn, auto& out) {
    conn.template context<Session>()->ended = true;
    return go_on(pool, conn, {}, out);
  };
  return events;
}

evio::Error run_workers(int argc, char** argv) {
  examples::Service service{.name = "workers", .port = 5001};
  int threads = 4;
  examples::Flags flags("workers");
  flags.add("port", service.port, "server port")
      .add("loops", service.loops, "num loops")
      .add("threads", threads, "threads that do the jobs")
      .add("stdlib", service.stdlib, examples::kStdlibHelp)
      .parse(argc, argv);
  Pool pool(std::max(threads, 1));  // before serve: it outlives the server
  return examples::serve(events_of(pool), service);
}

}  // namespace

int main(int argc, char** argv) { return examples::run(run_workers, argc, argv); }
