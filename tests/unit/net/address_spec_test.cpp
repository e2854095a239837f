#include "internal/net/address_spec.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evio::internal {
namespace {

using Family = AddressSpec::Family;

struct Good {
  std::string_view text;
  Network network = Network::kTcp;
  Family family = Family::kBoth;
  std::string_view host = "";
  int port = 0;
  std::string_view path = "";
  bool reuse_port = false;
  bool portable = false;
};

TEST(AddressSpecTest, ReadsWhatIsWellFormed) {
  constexpr auto kTcp = Network::kTcp;
  constexpr auto kUdp = Network::kUdp;
  constexpr auto kUnix = Network::kUnix;
  constexpr auto kBoth = Family::kBoth;
  const Good table[] = {
      {"tcp://localhost:5000", kTcp, kBoth, "localhost", 5000},
      {"tcp4://localhost:5000", kTcp, Family::kV4, "localhost", 5000},
      {"tcp6://localhost:5000", kTcp, Family::kV6, "localhost", 5000},
      {"udp://:53", kUdp, kBoth, "", 53},
      {"udp4://10.0.0.1:53", kUdp, Family::kV4, "10.0.0.1", 53},
      {"udp6://[::1]:53", kUdp, Family::kV6, "::1", 53},
      {"unix://socket", kUnix, kBoth, "", 0, "socket"},
      {"unix:///tmp/a/socket", kUnix, kBoth, "", 0, "/tmp/a/socket"},
      {"unix://a:b", kUnix, kBoth, "", 0, "a:b"},
      {"unix://@abstract", kUnix, kBoth, "", 0, "@abstract"},
      // no scheme means tcp
      {":5000", kTcp, kBoth, "", 5000},
      {"localhost:80", kTcp, kBoth, "localhost", 80},
      {"[::1]:80", kTcp, kBoth, "::1", 80},
      // every address
      {"tcp://*:5998", kTcp, kBoth, "", 5998},
      {"tcp4://*:5998", kTcp, Family::kV4, "", 5998},
      {"udp6-net://*:53", kUdp, Family::kV6, "", 53, "", false, true},
      {"*:80", kTcp, kBoth, "", 80},
      {"unix://*", kUnix, kBoth, "", 0, "*"},
      // any port
      {"tcp://", kTcp},
      {"udp://", kUdp},
      {"tcp://:", kTcp},
      {"tcp://:0", kTcp},
      {"tcp://host:", kTcp, kBoth, "host", 0},
      {"tcp://?reuseport=1", kTcp, kBoth, "", 0, "", true},
      {":65535", kTcp, kBoth, "", 65535},
      {":00080", kTcp, kBoth, "", 80},
      {"tcp://[fe80::1%lo]:80", kTcp, kBoth, "fe80::1%lo", 80},
      // -net
      {"tcp-net://:1", kTcp, kBoth, "", 1, "", false, true},
      {"tcp4-net://:1", kTcp, Family::kV4, "", 1, "", false, true},
      {"tcp6-net://:1", kTcp, Family::kV6, "", 1, "", false, true},
      {"udp-net://:1", kUdp, kBoth, "", 1, "", false, true},
      {"udp4-net://:1", kUdp, Family::kV4, "", 1, "", false, true},
      {"udp6-net://:1", kUdp, Family::kV6, "", 1, "", false, true},
      {"unix-net://s", kUnix, kBoth, "", 0, "s", false, true},
      // options
      {":1?reuseport=true", kTcp, kBoth, "", 1, "", true},
      {"udp-net://:1?reuseport=true", kUdp, kBoth, "", 1, "", true, true},
      {"tcp://:1?", kTcp, kBoth, "", 1},
      {"tcp://:1?reuseport=", kTcp, kBoth, "", 1},
      {"tcp://:1?reuseport=0&reuseport=1", kTcp, kBoth, "", 1, "", true},
      {"tcp://:1?reuseport=1&reuseport=0", kTcp, kBoth, "", 1},
      {"tcp://:1?reuseport=1&", kTcp, kBoth, "", 1, "", true},
      {"unix://s?reuseport=false", kUnix, kBoth, "", 0, "s"},
  };
  for (const Good& good : table) {
    AddressSpec spec;
    const Error err = parse_address(good.text, spec);
    EXPECT_FALSE(err) << good.text << ": " << err.message();
    EXPECT_EQ(spec.text, good.text);
    EXPECT_EQ(spec.network, good.network) << good.text;
    EXPECT_EQ(spec.family, good.family) << good.text;
    EXPECT_EQ(spec.host, good.host) << good.text;
    EXPECT_EQ(spec.port, good.port) << good.text;
    EXPECT_EQ(spec.path, good.path) << good.text;
    EXPECT_EQ(spec.reuse_port, good.reuse_port) << good.text;
    EXPECT_EQ(spec.portable, good.portable) << good.text;
  }
}

TEST(AddressSpecTest, ReadsBacklogAndMode) {
  struct Row {
    std::string_view text;
    int backlog = 0;
    int mode = -1;
  };
  const Row table[] = {
      {"tcp://:1"},
      {"tcp://:1?backlog=1", 1},
      {":1?backlog=0128", 128},
      {"tcp6-net://:1?reuseport=1&backlog=5", 5},
      {"tcp://:1?backlog=5&backlog=6", 6},
      {"unix://@s?backlog=2147483647", 2147483647},
      {"unix://s?mode=0660", 0, 0660},
      {"unix-net://s?mode=7", 0, 07},
      {"unix://s?mode=0", 0, 0},
      {"unix://s?backlog=3&mode=000777", 3, 0777},
      {"unix://s?mode=600&mode=620", 0, 0620},
  };
  for (const Row& row : table) {
    AddressSpec spec;
    const Error err = parse_address(row.text, spec);
    EXPECT_FALSE(err) << err.message();
    EXPECT_EQ(spec.backlog, row.backlog) << row.text;
    EXPECT_EQ(spec.mode, row.mode) << row.text;
  }
}

TEST(AddressSpecTest, ReadsWhatNamesGivenSockets) {
  using Source = AddressSpec::Source;
  struct Row {
    std::string_view text;
    Source source;
    int descriptor = -1;
    std::string_view name = "";
  };
  const Row table[] = {
      {"fd://3", Source::kDescriptor, 3},
      {"fd://0", Source::kDescriptor, 0},
      {"fd://12?", Source::kDescriptor, 12},
      {"systemd://", Source::kSystemd},
      {"systemd://web", Source::kSystemd, -1, "web"},
      {"systemd://web.socket?", Source::kSystemd, -1, "web.socket"},
      {"unix://fd", Source::kMade},
  };
  for (const Row& row : table) {
    AddressSpec spec;
    const Error err = parse_address(row.text, spec);
    EXPECT_FALSE(err) << err.message();
    EXPECT_EQ(spec.source, row.source) << row.text;
    EXPECT_EQ(spec.descriptor, row.descriptor) << row.text;
    EXPECT_EQ(spec.name, row.name) << row.text;
  }
}

// They are closed, whatever else is wrong with the address.
TEST(AddressSpecTest, AnErrorInAnOptionLeavesTheDescriptorThatWasNamed) {
  AddressSpec spec;
  EXPECT_TRUE(parse_address("fd://7?mode=0600", spec));
  EXPECT_EQ(spec.source, AddressSpec::Source::kDescriptor);
  EXPECT_EQ(spec.descriptor, 7);
}

TEST(AddressSpecTest, ReuseportIsTrueForTheseValues) {
  for (int c = 1; c != 128; ++c) {
    if (c == '&' || c == '#') continue;
    AddressSpec spec;
    const std::string value(1, static_cast<char>(c));
    ASSERT_FALSE(parse_address("tcp://:0?reuseport=" + value, spec)) << value;
    EXPECT_EQ(spec.reuse_port, std::string_view("123456789tTyY").find(value) != std::string_view::npos) << value;
  }
  for (const char* value : {"true", "True", "TRUE", "t", "yes", "Yes", "y", "1", "9"}) {
    AddressSpec spec;
    ASSERT_FALSE(parse_address(std::string("tcp://:0?reuseport=") + value, spec));
    EXPECT_TRUE(spec.reuse_port) << value;
  }
  for (const char* value : {"false", "no", "0", "off", "", " true"}) {
    AddressSpec spec;
    ASSERT_FALSE(parse_address(std::string("tcp://:0?reuseport=") + value, spec));
    EXPECT_FALSE(spec.reuse_port) << value;
  }
}

TEST(AddressSpecTest, RefusesWhatIsNot) {
  const std::string_view table[] = {
      // none: an unset variable must not open a port
      "",
      "?reuseport=1",
      "?",
      "5000",
      "localhost",
      "tcp://localhost",
      "tcp://127.0.0.1",
      "tcp://[::1]",
      // schemes
      "http://:80",
      "TCP://:80",
      "tcp5://:80",
      "tcp7-net://:80",
      "udp46://:80",
      "unix4://s",
      "tcp-net-net://:80",
      "tcp-nets://:80",
      "-net://:80",
      "://:80",
      " tcp://:80",
      "tcp ://:80",
      // ports
      ":65536",
      ":99999999999999999999",
      ":-1",
      ":+80",
      ":80x",
      ":x80",
      ":0x50",
      ": 80",
      ":80 ",
      ":http",
      "tcp://:80/",
      "tcp://:80#a",
      "udp://:8 0",
      // hosts
      "tcp://::1:80",
      "tcp://a:b:80",
      "tcp://[::1",
      "tcp://[::1:80",
      "tcp://[::1]80",
      "tcp://[::1]x:80",
      "tcp://::",
      "tcp://*",
      "tcp://[*]:80",
      // options
      "tcp://:80?reuse=true",
      "tcp://:80?Reuseport=true",
      "tcp://:80?reuseport",
      "tcp://:80?reuseport=1&x=1",
      "tcp://:80?=true",
      "tcp://:80?&reuseport=1",
      "unix://s?reuseport=true",
      "unix-net://s?reuseport=1",
      "tcp://:80?backlog",
      "tcp://:80?backlog=",
      "tcp://:80?backlog=0",
      "tcp://:80?backlog=-1",
      "tcp://:80?backlog=+1",
      "tcp://:80?backlog=1k",
      "tcp://:80?backlog= 1",
      "tcp://:80?backlog=2147483648",
      "udp://:80?backlog=1",
      "unix://s?mode",
      "unix://s?mode=",
      "unix://s?mode=1000",
      "unix://s?mode=77777777777777",
      "unix://s?mode=-1",
      "unix://s?mode=0o660",
      "unix://s?mode=0x1ff",
      "unix://s?mode=0680",
      "unix://s?mode=u+rw",
      "unix://@s?mode=0660",
      "tcp://:80?mode=0660",
      "udp://:80?mode=0660",
      // given sockets
      "fd://",
      "fd://x",
      "fd://-1",
      "fd://+3",
      "fd://3x",
      "fd:// 3",
      "fd://3/",
      "fd://2147483648",
      "fd-net://3",
      "systemd-net://",
      "fd://3?reuseport=true",
      "fd://3?reuseport=false",
      "fd://3?backlog=1",
      "fd://3?mode=0660",
      "fd://3?x=1",
      "systemd://?reuseport=1",
      "systemd://web?backlog=1",
      "systemd://web?mode=0660",
      // paths
      "unix://",
      "unix://?reuseport=false",
      std::string_view("unix://a\0b", 10),
  };
  for (const std::string_view text : table) {
    AddressSpec spec;
    const Error err = parse_address(text, spec);
    EXPECT_TRUE(err) << '"' << text << '"';
    EXPECT_EQ(err.code(), std::errc::invalid_argument) << text;
    EXPECT_NE(err.message().find(text), std::string::npos) << err.message();
  }
}

// What stands behind "did you mean"; empty when nothing does.
std::string suggestion_for(std::string_view text) {
  AddressSpec spec;
  const std::string message = parse_address(text, spec).message();
  constexpr std::string_view kBefore = "; did you mean \"";
  const std::size_t found = message.find(kBefore);
  if (found == std::string::npos) return "";
  EXPECT_TRUE(message.ends_with("\"?")) << message;
  return message.substr(found + kBefore.size(), message.size() - found - kBefore.size() - 2);
}

TEST(AddressSpecTest, SaysWhatWasProbablyMeant) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"unix:rel", "unix://rel"},
      {"unix:./rel", "unix://./rel"},
      {"unix:/tmp/s", "unix:///tmp/s"},
      {"unix:@name", "unix://@name"},
      {"unix-net:rel", "unix-net://rel"},
      {"Unix:rel", "unix://rel"},
      {"tcp:host:80", "tcp://host:80"},
      {"tcp:[::1]:80", "tcp://[::1]:80"},
      {"tcp:/host:80", "tcp://host:80"},
      {"tcp4-net::80", "tcp4-net://:80"},
      {"udp:host:53?reuseport=1", "udp://host:53?reuseport=1"},
      {"udp:*:53", "udp://*:53"},
      {"TCP://:80", "tcp://:80"},
      {"Udp6://[::1]:53", "udp6://[::1]:53"},
      {"tcp:///tmp/s.sock", "unix:///tmp/s.sock"},
      {"tcp://5000", "tcp://:5000"},
      {"5000", ":5000"},
      {"5000?reuseport=1", ":5000?reuseport=1"},
      {"/tmp/s.sock", "unix:///tmp/s.sock"},
      {"./s.sock", "unix://./s.sock"},
      {"../s", "unix://../s"},
      {"run/s", "unix://run/s"},
      {"s.sock", "unix://s.sock"},
      {"@name", "unix://@name"},
      {"http://:80", "tcp://:80"},
      {"http://host:8080/path", "tcp://host:8080"},
      {"http://host", "tcp://host:80"},
      {"http://[::1]/", "tcp://[::1]:80"},
      {"HTTP://[::1]:8080/", "tcp://[::1]:8080"},
      {"ws://host:80/chat", "tcp://host:80"},
      {"FD://3", "fd://3"},
      {"Systemd://web", "systemd://web"},
      {"systemd:web", "systemd://web"},
      // There is no telling, or what would be suggested is none either.
      {"", ""},
      {"tulip://x", ""},
      {"localhost", ""},
      {"tcp://localhost", ""},
      {"tcp://:http", ""},
      {"tcp://:65536", ""},
      {"tcp:host:65536", ""},
      {"https://host", ""},
      {"unix:s?reuseport=1", ""},
      {"unix://", ""},
      {"unix:", ""},
      {"://:80", ""},
      {"999999", ""},
  };
  for (const auto& [text, meant] : table) EXPECT_EQ(suggestion_for(text), meant) << text;
}

TEST(AddressSpecTest, NobodyConnectsToAGivenSocket) {
  for (const char* text : {"fd://3", "systemd://"}) {
    AddressSpec spec;
    const Error err = parse_peer_address(text, spec);
    EXPECT_EQ(err.message(), "dial " + std::string(text) + ": fd and systemd are for serve()");
    EXPECT_EQ(err.code(), std::errc::invalid_argument);
  }
}

TEST(AddressSpecTest, AnErrorNamesTheEmptyAddressToo) {
  AddressSpec spec;
  EXPECT_EQ(parse_address("", spec).message(), "listen \"\": the address is empty");
}

TEST(AddressSpecTest, APathHasToFit) {
  AddressSpec spec;
  EXPECT_FALSE(parse_address("unix://" + std::string(SocketAddress::kLongestPath, 'p'), spec));
  const Error err = parse_address("unix://" + std::string(SocketAddress::kLongestPath + 1, 'p'), spec);
  EXPECT_EQ(err.code(), std::errc::filename_too_long);
}

TEST(AddressSpecTest, AHostHasNoNulByte) {
  AddressSpec spec;
  EXPECT_TRUE(parse_address(std::string_view("tcp://127.0.0.1\0x:80", 20), spec));
}

TEST(AddressSpecTest, ASpecIsSetAnew) {
  AddressSpec spec;
  ASSERT_FALSE(parse_address("udp6-net://[::1]:1?reuseport=1", spec));
  ASSERT_FALSE(parse_address("unix://s", spec));
  EXPECT_FALSE(spec.portable);
  EXPECT_FALSE(spec.reuse_port);
  EXPECT_EQ(spec.host, "");
  EXPECT_EQ(spec.port, 0);
}

TEST(AddressSpecTest, ErrorsNameTheAddressAndTheCall) {
  AddressSpec spec;
  ASSERT_FALSE(parse_address("tcp://:80", spec));
  const Error err = call_error(spec, std::make_error_code(std::errc::permission_denied), "bind");
  EXPECT_EQ(err.message(), "listen tcp://:80: bind: " + std::make_error_code(std::errc::permission_denied).message());
  EXPECT_EQ(err.code(), std::errc::permission_denied);
}

}  // namespace
}  // namespace evio::internal
