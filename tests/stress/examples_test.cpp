// A thousand clients at once of the chat and the workers example: each gets everything, in order.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/stress/crowd.hpp"
#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

// A thousand, or, with a word about it, as many as may be.
std::size_t how_many() {
  constexpr std::size_t kOthers = 200;  // descriptors
  const std::size_t wanted = kSanitized ? 200 : 1'000;
  const std::size_t limit = raise_descriptor_limit();
  if (limit >= wanted + kOthers) return wanted;
  std::cout << "only " << limit << " descriptors may be open (ulimit -Hn): fewer clients than " << wanted << "\n";
  return limit - kOthers;
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line + "\n");
  std::ranges::sort(lines);
  return lines;
}

std::size_t size_of(const std::vector<std::string>& texts) {
  std::size_t size = 0;
  for (const std::string& text : texts) size += text.size();
  return size;
}

class CrowdedExample : public testing::TestWithParam<std::string> {
 protected:
  // The next line, with its end.
  static std::string line(Client& client) {
    std::string text;
    for (std::string byte; !text.ends_with('\n') && !(byte = client.receive(1)).empty();) text += byte;
    return text;
  }

 private:
  Watchdog watchdog_{"a crowded example", 2 * kWatchdogLimit};
};

INSTANTIATE_TEST_SUITE_P(, CrowdedExample, testing::Values("--loops=1", "--loops=4", "--stdlib"),
                         [](const auto& instance) {
                           return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
                         });

// All in one room. Each hears who comes after it, what everybody says, in the order in which all others hear it, and
// the last word.
TEST_P(CrowdedExample, AChatIsHeardByAThousand) {
  const std::size_t count = how_many();
  Program chat(EVIO_EXAMPLES_DIR "/chat", {"--port=0", GetParam(), "--idle=0"});
  std::vector<Client> clients;
  std::vector<std::string> joined;
  for (std::size_t i = 0; i != count; ++i) {
    clients.push_back(chat.connect());
    joined.push_back(line(clients.back()));
    ASSERT_TRUE(joined.back().ends_with(" has joined lobby\n")) << joined.back();
  }
  std::vector<std::string> said;
  for (std::size_t i = 0; i != count; ++i) {
    std::string later;
    for (std::size_t next = i + 1; next != count; ++next) later += joined[next];
    ASSERT_TRUE(clients[i].receive(later.size()) == later) << i;
    const std::string nick = joined[i].substr(2, joined[i].find(" has") - 2);
    said.push_back(nick + ": I am " + std::to_string(i) + "\n");
  }
  for (std::size_t i = 0; i != count; ++i) ASSERT_TRUE(clients[i].send_all("I am " + std::to_string(i) + "\n"));
  const std::string all = clients.front().receive(size_of(said));
  std::ranges::sort(said);
  ASSERT_EQ(sorted_lines(all), said);
  for (std::size_t i = 1; i != count; ++i) ASSERT_TRUE(clients[i].receive(all.size()) == all) << i;
  chat.signal(SIGTERM);
  for (Client& client : clients) ASSERT_EQ(client.receive_all(), "* the server is going down: goodbye\n");
  EXPECT_EQ(chat.wait(), 0);
}

// Each has as many jobs as it may have at once, and more; its answers come in the order of its lines.
TEST_P(CrowdedExample, WorkersAnswerAThousand) {
  constexpr std::size_t kLines = 70;
  const std::size_t count = how_many();
  Program workers(EVIO_EXAMPLES_DIR "/workers", {"--port=0", GetParam(), "--threads=4"});
  std::ofstream(workers.path("file")) << "1\n2\n3\n";
  std::vector<Client> clients;
  while (clients.size() != count) clients.push_back(workers.connect());
  std::vector<std::string> answers(count);
  for (std::size_t i = 0; i != count; ++i) {
    std::string lines;
    for (std::size_t n = 0; n != kLines; ++n) {
      const std::string name = n % 10 == 0 ? "file" : "none" + std::to_string(i * kLines + n);
      lines += name + "\n";
      answers[i] += name + (n % 10 == 0 ? ": 3 lines\n" : ": cannot be read\n");
    }
    ASSERT_TRUE(clients[i].send_all(lines));
    if (i % 2 == 0) clients[i].shutdown_write();
  }
  for (std::size_t i = 0; i != count; ++i) {
    ASSERT_EQ(clients[i].receive(answers[i].size()), answers[i]) << i;
    if (i % 2 == 0) {
      ASSERT_EQ(clients[i].receive_all(), "");
      ASSERT_TRUE(clients[i].at_end());
    }
  }
  // Those that have not ended their side are served on.
  for (std::size_t i = 1; i < count; i += 2) ASSERT_TRUE(clients[i].send_all("file\n"));
  for (std::size_t i = 1; i < count; i += 2) ASSERT_EQ(clients[i].receive(14), "file: 3 lines\n");
}

}  // namespace
}  // namespace evio::test
