// Guarantee 17: what becomes of a unix socket's path.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"
#include "tests/support/handlers.hpp"

namespace evio::test {
namespace {

class UnixPathTest : public ModeTest {
 protected:
  std::string address_of(const std::string& file) const { return mode().scheme() + "://" + file; }
  Events echoing() const {
    Events handlers = events();
    handlers.data = echo;
    return handlers;
  }
  // serve must refuse the path and name it.
  void expect_refused(const std::string& file) {
    TestServer server(events(), address_of(file));
    EXPECT_FALSE(server.started());
    EXPECT_TRUE(server.wait());
    EXPECT_NE(server.wait().message().find(file), std::string::npos) << server.wait().message();
  }
  void expect_echo(const TestServer& server) {
    Client client = server.connect();
    client.send_all("hello");
    EXPECT_EQ(client.receive(5), "hello");
  }
};
EVIO_INSTANTIATE(UnixPathTest, modes_of(Network::kUnix, {1, 4}));

// A socket bound to the path; kept open, it is one that somebody has, and listened on, one that is in use.
UniqueFd bind_socket(const std::string& file, int type, bool listening) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  file.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  if (listening) {
    EXPECT_EQ(::listen(fd.get(), 5), 0);
  }
  return fd;
}

// unix(7): a path that fills sun_path is told with a NUL behind it, which would be past its end.
TEST_P(UnixPathTest, OfAPeerMayBeAsLongAsThereIsRoom) {
  EventLog log;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    log.add(conn, conn.remote_addr().path());
    return Action::None;
  };
  TestServer server(handlers, address_of(path("s")));
  sockaddr_un own{};
  own.sun_family = AF_UNIX;
  std::string file = path("");
  file.append(sizeof(own.sun_path) - file.size(), 'c');
  file.copy(own.sun_path, sizeof(own.sun_path));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  server.addr().path().copy(to.sun_path, sizeof(to.sun_path) - 1);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof(own)), 0);
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  EXPECT_TRUE(log.wait_for(file));
  std::filesystem::remove(file);
}

// unix(7), "Abstract sockets": a name of its own space, which ends with its socket.
TEST_P(UnixPathTest, ThatBeginsWithAnAtIsAnAbstractName) {
  const std::string name = "@" + path("s");
  for (int i = 0; i < 2; ++i) {
    TestServer server(echoing(), address_of(name));
    ASSERT_TRUE(server.started()) << server.wait().message();
    EXPECT_EQ(server.addr().path(), name);
    expect_echo(server);
    EXPECT_FALSE(std::filesystem::exists(name.substr(1)));
    expect_refused(name);
    expect_echo(server);
  }
}

TEST_P(UnixPathTest, IsThereWhileItServesAndRemovedAtTheEnd) {
  const std::string file = path("s");
  {
    TestServer server(echoing(), address_of(file));
    EXPECT_TRUE(std::filesystem::is_socket(file));
    EXPECT_EQ(server.addr().network(), "unix");
    EXPECT_EQ(server.addr().path(), file);
    EXPECT_EQ(server.addr().to_string(), file);
    expect_echo(server);
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_P(UnixPathTest, ASocketThatNobodyListensOnIsReplaced) {
  const std::string file = path("s");
  bind_socket(file, SOCK_STREAM, true).reset();
  ASSERT_TRUE(std::filesystem::is_socket(file));
  TestServer server(echoing(), address_of(file));
  ASSERT_TRUE(server.started());
  expect_echo(server);
}

TEST_P(UnixPathTest, RefusesALiveSocket) {
  const std::string file = path("s");
  TestServer first(echoing(), address_of(file));
  expect_refused(file);
  expect_echo(first);
}

TEST_P(UnixPathTest, ARegularFileIsRefusedUntouched) {
  const std::string file = path("precious");
  std::ofstream(file) << "do not lose this";
  expect_refused(file);
  std::ifstream in(file);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "do not lose this");
  std::filesystem::remove(file);
}

TEST_P(UnixPathTest, ADirectoryIsRefusedUntouched) {
  const std::string folder = path("folder");
  std::filesystem::create_directory(folder);
  expect_refused(folder);
  EXPECT_TRUE(std::filesystem::is_directory(folder));
  std::filesystem::remove(folder);
}

TEST_P(UnixPathTest, ALinkAndAPipeAreRefusedUntouched) {
  const std::string target = path("target");
  const std::string link = path("link");
  const std::string pipe = path("pipe");
  std::ofstream(target) << "x";
  std::filesystem::create_symlink(target, link);
  ::mkfifo(pipe.c_str(), 0600);
  expect_refused(link);
  expect_refused(pipe);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  for (const std::string& file : {link, pipe, target}) std::filesystem::remove(file);
}

TEST_P(UnixPathTest, AMissingFolderAndALongPathAreErrors) {
  expect_refused(path("missing") + "/s");
  expect_refused(path(std::string(200, 'x')));
}

TEST_P(UnixPathTest, APathThatAnotherHasTakenOverMeanwhileStays) {
  const std::string file = path("s");
  UniqueFd other;
  {
    TestServer server(echoing(), address_of(file));
    std::filesystem::remove(file);
    other = bind_socket(file, SOCK_STREAM, true);
  }
  EXPECT_TRUE(std::filesystem::is_socket(file)) << "it removed a path that was not its own any more";
  std::filesystem::remove(file);
}

TEST_P(UnixPathTest, WhenALaterAddressFailsTheSocketFileIsGone) {
  const std::string good = path("good");
  const std::string bad = path("folder");
  std::filesystem::create_directory(bad);
  {
    TestServer server(events(), {address_of(good), address_of(bad)});
    EXPECT_FALSE(server.started());
    EXPECT_TRUE(server.wait());
  }
  EXPECT_FALSE(std::filesystem::exists(good));
  std::filesystem::remove(bad);
}

TEST_P(UnixPathTest, RefusesTheSamePathTwice) {
  const std::string file = path("s");
  {
    TestServer server(events(), {address_of(file), address_of(file)});
    EXPECT_FALSE(server.started());
    EXPECT_TRUE(server.wait());
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

// The path is fixed when it is bound.
TEST_P(UnixPathTest, ThatIsRelativeMeansTheFolderOfTheStart) {
  const std::string start = path("start");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::create_directory(start);
  for (const std::string file : {"s", "./s", "../start/s"}) {
    std::filesystem::current_path(start);
    Events handlers = echoing();
    std::string local;
    handlers.opened = [&](Conn& conn, Output&, Options&) {
      local = conn.local_addr().path();
      return Action::None;
    };
    handlers.serving = [&](const Server& server) {
      EXPECT_EQ(server.addrs().at(0).path(), file);
      std::filesystem::current_path("/");
      return Action::None;
    };
    {
      TestServer server(handlers, address_of(file));
      EXPECT_EQ(entries_of(start), std::set<std::string>{"s"});
      std::filesystem::current_path(start);
      expect_echo(server);
      EXPECT_EQ(local, file);
      expect_refused(start + "/s");
      std::filesystem::current_path("/");
    }
    EXPECT_EQ(entries_of(start), std::set<std::string>());
  }
  std::filesystem::current_path(before);
  std::filesystem::remove(start);
}

TEST_P(UnixPathTest, ItsPeersHaveNoPathUnlessTheyBoundOne) {
  Gate opened;
  std::string local;
  std::string remote;
  Events handlers = events();
  handlers.opened = [&](Conn& conn, Output&, Options&) {
    local = conn.local_addr().path();
    remote = conn.remote_addr().path();
    EXPECT_EQ(conn.remote_addr().network(), "unix");
    EXPECT_EQ(conn.local_addr().port(), 0);
    opened.open();
    return Action::None;
  };
  const std::string file = path("s");
  TestServer server(handlers, address_of(file));
  Client client = server.connect();
  ASSERT_TRUE(opened.wait());
  EXPECT_EQ(local, file);
  EXPECT_EQ(remote, "");
}

}  // namespace
}  // namespace evio::test
