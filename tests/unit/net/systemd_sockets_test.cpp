#include "internal/net/systemd_sockets.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace evio::internal {
namespace {

using Variables = std::map<std::string, std::string>;

class SystemdSocketsTest : public testing::Test {
 protected:
  void TearDown() override { set({}); }
  static void set(const Variables& variables) {
    for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  static std::string own_pid() { return std::to_string(::getpid()); }
  // The error, or the descriptors.
  static std::string find(const std::string& address) {
    AddressSpec spec;
    EXPECT_FALSE(parse_address(address, spec));
    std::vector<int> descriptors;
    if (const Error err = find_systemd_sockets(spec, descriptors)) {
      EXPECT_EQ(err.code(), std::errc::invalid_argument);
      EXPECT_TRUE(descriptors.empty());
      return err.message();
    }
    std::string text;
    for (const int descriptor : descriptors) text += std::to_string(descriptor) + ' ';
    return text;
  }
};

TEST_F(SystemdSocketsTest, AreAllFromThreeOn) {
  set({{"LISTEN_PID", own_pid()}, {"LISTEN_FDS", "3"}});
  EXPECT_EQ(find("systemd://"), "3 4 5 ");
}

TEST_F(SystemdSocketsTest, AreThoseOfTheName) {
  set({{"LISTEN_PID", own_pid()}, {"LISTEN_FDS", "4"}, {"LISTEN_FDNAMES", "web:admin::web"}});
  EXPECT_EQ(find("systemd://web"), "3 6 ");
  EXPECT_EQ(find("systemd://admin"), "4 ");
  EXPECT_EQ(find("systemd://"), "3 4 5 6 ");
  EXPECT_EQ(find("systemd://we"),
            "listen systemd://we: no socket is named \"we\": LISTEN_FDNAMES is \"web:admin::web\"");
}

TEST_F(SystemdSocketsTest, AnErrorSaysWhichVariableIsWrong) {
  struct Row {
    Variables variables;
    std::string address;
    std::string says;
  };
  const std::string pid = own_pid();
  const std::string other = std::to_string(::getppid());
  const Row table[] = {
      {{}, "systemd://", "LISTEN_PID is not set: no sockets were given"},
      {{{"LISTEN_FDS", "1"}}, "systemd://", "LISTEN_PID is not set: no sockets were given"},
      {{{"LISTEN_PID", other}, {"LISTEN_FDS", "1"}},
       "systemd://",
       "the sockets were given to another process: LISTEN_PID is " + other + ", this is process " + pid},
      {{{"LISTEN_PID", pid + "x"}, {"LISTEN_FDS", "1"}},
       "systemd://",
       "LISTEN_PID is \"" + pid + "x\", which is not a number"},
      {{{"LISTEN_PID", ""}, {"LISTEN_FDS", "1"}}, "systemd://", "LISTEN_PID is \"\", which is not a number"},
      {{{"LISTEN_PID", pid}}, "systemd://", "LISTEN_FDS is not set: no sockets were given"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "0"}}, "systemd://", "LISTEN_FDS is 0: no sockets were given"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "-1"}}, "systemd://", "LISTEN_FDS is \"-1\", which is not a number"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "9999999999"}},
       "systemd://",
       "LISTEN_FDS is \"9999999999\", which is not a number"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "2147483647"}},
       "systemd://",
       "LISTEN_FDS is 2147483647: there are not that many descriptors"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "1"}},
       "systemd://a",
       "LISTEN_FDNAMES is not set: the sockets have no names"},
      {{{"LISTEN_PID", pid}, {"LISTEN_FDS", "3"}, {"LISTEN_FDNAMES", "a:b"}},
       "systemd://a",
       "LISTEN_FDNAMES has 2 names, LISTEN_FDS says 3"},
  };
  for (const Row& row : table) {
    set(row.variables);
    EXPECT_EQ(find(row.address), "listen " + row.address + ": " + row.says);
  }
}

TEST_F(SystemdSocketsTest, LeaveTheVariablesAsTheyAre) {
  set({{"LISTEN_PID", own_pid()}, {"LISTEN_FDS", "1"}, {"LISTEN_FDNAMES", "a"}});
  EXPECT_EQ(find("systemd://a"), "3 ");
  EXPECT_EQ(std::getenv("LISTEN_PID"), own_pid());
  EXPECT_STREQ(std::getenv("LISTEN_FDS"), "1");
  EXPECT_STREQ(std::getenv("LISTEN_FDNAMES"), "a");
}

}  // namespace
}  // namespace evio::internal
