#include <gtest/gtest.h>
#include <sys/socket.h>

#include <csignal>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/example_program.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/watchdog.hpp"

namespace evio::test {
namespace {

class ChatExample : public testing::TestWithParam<std::string> {
 protected:
  static Program run(const std::string& flag = "--idle=0") {
    return Program(EVIO_EXAMPLES_DIR "/chat", {"--port=0", GetParam(), flag});
  }

  // The next line, without its end.
  static std::string line(Client& client) {
    std::string text;
    for (std::string byte; (byte = client.receive(1)) != "\n" && !byte.empty();) text += byte;
    return text;
  }

  // A member called so, in the lobby. Everyone in `others` has seen him come.
  static Client member(Program& chat, const std::string& nick, const std::vector<Client*>& others = {}) {
    Client client = chat.connect();
    client.send_all("/nick " + nick + "\n");
    others_see(others, " has joined lobby");
    EXPECT_TRUE(line(client).ends_with(" has joined lobby"));
    others_see(others, " is now " + nick);
    EXPECT_TRUE(line(client).ends_with(" is now " + nick));
    return client;
  }

 private:
  static void others_see(const std::vector<Client*>& others, const std::string& end) {
    for (Client* other : others) {
      const std::string got = line(*other);
      EXPECT_TRUE(got.ends_with(end)) << got;
    }
  }

  Watchdog watchdog_{"a chat test", kWatchdogLimit};
};

INSTANTIATE_TEST_SUITE_P(, ChatExample, testing::Values("--loops=1", "--loops=4", "--stdlib"),
                         [](const auto& instance) {
                           return std::regex_replace(instance.param, std::regex("[^a-z0-9]"), "");
                         });

TEST_P(ChatExample, AllSeeAllLinesInOneOrder) {
  Program chat = run();
  Client ann = member(chat, "ann");
  Client bob = member(chat, "bob", {&ann});
  Client eve = member(chat, "eve", {&ann, &bob});
  constexpr int kLines = 200;
  std::vector<std::thread> talkers;
  for (const Client* client : {&ann, &bob, &eve}) {
    talkers.emplace_back([client] {
      Client talker = twin(*client);
      for (int i = 0; i < kLines; ++i) talker.send_all("line " + std::to_string(i) + "\r\n");
    });
  }
  std::vector<std::string> seen[3];
  for (int i = 0; i < 3 * kLines; ++i) {
    seen[0].push_back(line(ann));
    seen[1].push_back(line(bob));
    seen[2].push_back(line(eve));
  }
  for (std::thread& talker : talkers) talker.join();
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
  int next = 0;
  for (const std::string& text : seen[0]) {
    if (!text.starts_with("bob: ")) continue;
    EXPECT_EQ(text, "bob: line " + std::to_string(next++));
  }
  EXPECT_EQ(next, kLines);
}

TEST_P(ChatExample, ARoomHearsItsOwnLinesAlone) {
  Program chat = run();
  Client ann = member(chat, "ann");
  Client bob = member(chat, "bob", {&ann});
  bob.send_all("/join attic\n");
  EXPECT_EQ(line(ann), "* bob has left");
  EXPECT_EQ(line(bob), "* bob has left");
  EXPECT_EQ(line(bob), "* bob has joined attic");
  ann.send_all("who is here?\n");
  EXPECT_EQ(line(ann), "ann: who is here?");
  bob.send_all("I am\n");
  EXPECT_EQ(line(bob), "bob: I am");
  ann.send_all("/join attic\n");
  EXPECT_EQ(line(ann), "* ann has left");
  EXPECT_EQ(line(ann), "* ann has joined attic");
  EXPECT_EQ(line(bob), "* ann has joined attic");
}

TEST_P(ChatExample, ANameHasOneMember) {
  Program chat = run();
  Client ann = member(chat, "ann");
  Client bob = member(chat, "bob", {&ann});
  bob.send_all("/nick ann\n");
  EXPECT_EQ(line(bob), "* that name is taken");
  ann.send_all("/quit\nnever said\n");
  EXPECT_EQ(ann.receive_all(), "");
  EXPECT_EQ(line(bob), "* ann has left");
  bob.send_all("/nick ann\n");
  EXPECT_EQ(line(bob), "* bob is now ann");
}

TEST_P(ChatExample, WhoReadsNothingIsDropped) {
  Program chat = run();
  Client ann = member(chat, "ann");
  Client slow = member(chat, "slow", {&ann});
  const int small = 4096;
  ::setsockopt(slow.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  const std::string said = "ann: " + std::string(1000, 'x') + "\n";
  const std::string left = "* slow has left\n";
  const std::size_t begin = left.size();
  std::size_t lines = 0;
  std::string heard;
  do {  // what a socket holds is up to the kernel
    ann.send_all(said.substr(5));
    ++lines;
    heard = ann.receive(begin);
    if (heard == said.substr(0, begin)) heard += ann.receive(said.size() - begin);
  } while (heard == said);
  EXPECT_EQ(heard, left) << "after " << lines << " lines";
  EXPECT_GT(lines * said.size(), 256 * 1024) << "less than may wait";
}

TEST_P(ChatExample, TheSilentAreToldAndClosed) {
  Program chat = run("--idle=1");
  Client ann = chat.connect();
  EXPECT_TRUE(ann.receive_all().ends_with("* nothing has happened for too long: goodbye\n"));
  EXPECT_TRUE(ann.at_end());
}

TEST_P(ChatExample, ALineWithoutEndIsRefused) {
  Program chat = run();
  Client ann = member(chat, "ann");
  Client bob = member(chat, "bob", {&ann});
  bob.send_all(std::string(1025, 'x'));
  EXPECT_EQ(bob.receive_all(), "");
  EXPECT_EQ(line(ann), "* bob has left");
}

TEST_P(ChatExample, ThoseWhoVanishHaveLeft) {
  Program chat = run();
  Client ann = member(chat, "ann");
  for (int i = 0; i < 50; ++i) {
    Client bob = member(chat, "bob", {&ann});
    if (i % 2 == 0) bob.reset();
    bob.close();
    EXPECT_EQ(line(ann), "* bob has left");
  }
}

TEST_P(ChatExample, AShutdownSaysGoodbyeToAll) {
  Program chat = run();
  std::vector<Client> members;
  for (int i = 0; i < 100; ++i) {
    members.push_back(chat.connect());
    EXPECT_TRUE(line(members.back()).ends_with(" has joined lobby"));
  }
  chat.signal(SIGTERM);
  for (Client& client : members) {
    EXPECT_TRUE(client.receive_all().ends_with("* the server is going down: goodbye\n"));
    EXPECT_TRUE(client.at_end());
  }
  EXPECT_EQ(chat.wait(), 0);
}

}  // namespace
}  // namespace evio::test
