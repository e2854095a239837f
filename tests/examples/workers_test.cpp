#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

constexpr std::size_t kMostJobs = 64;

class WorkersExample : public testing::TestWithParam<std::string> {
 protected:
  // With two files in its folder.
  struct Workers : Program {
    explicit Workers(int threads = 4)
        : Program(EVIO_EXAMPLES_DIR "/workers", {"--port=0", GetParam(), "--threads=" + std::to_string(threads)}) {
      std::ofstream(path("one")) << "1\n";
      std::ofstream(path("two")) << "1\n2\n";
    }
  };

  // A file whose reader waits until it is written: a job that blocks until the test lets it go.
  static std::string make_pipe(const Program& workers, const std::string& name) {
    std::string path = workers.path(name);
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return path;
  }
  // Whether a job reads it; it then waits until what this returns is closed.
  static UniqueFd hold(const std::string& pipe) {
    return UniqueFd(::open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  }
  static UniqueFd hold_once_read(const std::string& pipe) {
    UniqueFd held;
    EXPECT_TRUE(eventually([&] { return (held = hold(pipe)).valid(); })) << pipe;
    return held;
  }

 private:
  Watchdog watchdog_{"a workers test", kWatchdogLimit};
};

INSTANTIATE_TEST_SUITE_P(, WorkersExample, testing::Values("--loops=1", "--loops=4", "--stdlib"),
                         [](const auto& instance) {
                           return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
                         });

TEST_P(WorkersExample, AnswersLines) {
  Workers workers;
  Client client = workers.connect();
  client.send_all("two\nnone\n../one\n\non");
  const std::string answers = "two: 2 lines\nnone: cannot be read\n../one: cannot be read\n: cannot be read\n";
  EXPECT_EQ(client.receive(answers.size()), answers);
  client.send_all("e\n");
  EXPECT_EQ(client.receive(13), "one: 1 lines\n");
}

TEST_P(WorkersExample, AnswersComeInOrderAndAllOfThemAfterAHalfClose) {
  Workers workers;
  UniqueFd first;
  const std::string pipe = make_pipe(workers, "pipe");
  Client client = workers.connect();
  client.send_all("pipe\none\ntwo\none\n");
  client.shutdown_write();
  first = hold_once_read(pipe);
  EXPECT_TRUE(client.is_quiet()) << "an answer came before the first one";
  EXPECT_EQ(::write(first.get(), "a\nb\nc\n", 6), 6);
  first.reset();
  EXPECT_EQ(client.receive_all(), "pipe: 3 lines\none: 1 lines\ntwo: 2 lines\none: 1 lines\n");
  EXPECT_TRUE(client.at_end());
}

TEST_P(WorkersExample, AClientHasAtMost64JobsAtOnce) {
  Workers workers(100);
  std::vector<std::string> pipes;
  std::string lines;
  std::string answers;
  for (std::size_t i = 0; i < kMostJobs + 6; ++i) {
    const std::string name = "pipe" + std::to_string(i);
    pipes.push_back(make_pipe(workers, name));
    lines += name + "\n";
    answers += name + ": 0 lines\n";
  }
  Client client = workers.connect();
  client.send_all(lines);
  client.shutdown_write();
  std::vector<UniqueFd> held;
  for (std::size_t i = 0; i < kMostJobs; ++i) held.push_back(hold_once_read(pipes[i]));
  EXPECT_TRUE(client.is_quiet());
  for (std::size_t i = kMostJobs; i < pipes.size(); ++i) {
    EXPECT_FALSE(hold(pipes[i]).valid()) << "job " << i << " has begun";
    held[i - kMostJobs].reset();  // as many begin as end
    held.push_back(hold_once_read(pipes[i]));
  }
  held.clear();
  EXPECT_EQ(client.receive_all(), answers);
}

TEST_P(WorkersExample, WhatIsNotReadYetIsNotKept) {
  Workers workers;
  const std::string pipe = make_pipe(workers, "pipe");
  Client client = workers.connect();
  client.send_all("pipe\n");
  UniqueFd first = hold_once_read(pipe);
  const std::size_t before = workers.memory();
  const std::string line = "one\n";
  const int count = kSanitized ? 40'000 : 200'000;
  std::thread sender([&] {
    Client sending = twin(client);
    for (int i = 0; i < count / 1000; ++i) sending.send_all(repeated(line, 1000 * line.size()));
    sending.shutdown_write();
  });
  EXPECT_TRUE(client.is_quiet());
  EXPECT_LT(workers.memory(), before + (kSanitized ? 64 : 4) * std::size_t{1024 * 1024});
  first.reset();
  const std::string got = client.receive_all();
  sender.join();
  EXPECT_TRUE(got == "pipe: 0 lines\n" + repeated("one: 1 lines\n", count * std::size_t{13})) << got.size();
}

TEST_P(WorkersExample, ClientsThatVanishDisturbNobody) {
  Workers workers;
  Client stays = workers.connect();
  for (int i = 0; i < 50; ++i) {
    Client vanishes = workers.connect();
    vanishes.send_all(repeated("one\ntwo\n", 8 * 100));
    if (i % 3 == 0) vanishes.reset();
  }
  stays.send_all("one\n");
  EXPECT_EQ(stays.receive(13), "one: 1 lines\n");
}

TEST_P(WorkersExample, ALineWithoutEndIsRefused) {
  Workers workers;
  Client client = workers.connect();
  client.send_all(std::string(256, 'x'));
  EXPECT_EQ(client.receive_all(), "");
}

}  // namespace
}  // namespace evio::test
