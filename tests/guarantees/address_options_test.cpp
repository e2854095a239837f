// Guarantee 24: the options backlog and mode of an address.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/support/fixture.hpp"

namespace evio::test {
namespace {

class BacklogTest : public ModeTest {
 protected:
  // How many a listening socket keeps: TCP tells (tcp_get_info()), a unix socket is tried (unix_stream_connect()).
  static int kept_by(const Addr& addr, int listener) { return mode().is_tcp() ? told(listener) : tried(addr); }

 private:
  static int told(int listener) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    EXPECT_EQ(::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return static_cast<int>(info.tcpi_sacked);
  }
  static int tried(const Addr& addr) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    addr.path().copy(to.sun_path, sizeof(to.sun_path) - 1);
    std::vector<UniqueFd> waiting;
    for (;;) {
      waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (::connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0) continue;
      EXPECT_EQ(errno, EAGAIN);
      return static_cast<int>(waiting.size()) - 2;  // one waits beside the queue, one was refused
    }
  }
};
EVIO_INSTANTIATE(BacklogTest, all_modes());

TEST_P(BacklogTest, IsAsLongAsItSays) {
  for (const int backlog : {1, 7, 100}) {
    int kept = 0;
    Events handlers = events();
    handlers.serving = [&](const Server& server) {
      for (const int fd : server.dup_listeners()) kept = kept_by(server.addrs()[0], UniqueFd(fd).get());
      return Action::Shutdown;
    };
    const std::string at = address();
    EXPECT_FALSE(serve(handlers, at + "?backlog=" + std::to_string(backlog)));
    EXPECT_EQ(kept, backlog);
    if (!mode().is_tcp()) ::unlink(at.substr(at.find("://") + 3).c_str());  // it was handed over
  }
}

class SocketModeTest : public ModeTest {
 protected:
  int mode_of(const std::string& options) {
    const TestServer server(events(), address() + options);
    struct stat info {};
    EXPECT_EQ(::stat(server.addr().path().c_str(), &info), 0);
    return info.st_mode & 07777;
  }
};
EVIO_INSTANTIATE(SocketModeTest, modes_of(Network::kUnix));

TEST_P(SocketModeTest, IsTheOneAskedForWhateverTheUmask) {
  for (const mode_t umask : {0u, 022u, 0777u}) {
    const mode_t before = ::umask(umask);
    EXPECT_EQ(mode_of("?mode=0660"), 0660);
    EXPECT_EQ(mode_of("?mode=777"), 0777);
    EXPECT_EQ(mode_of("?mode=0&backlog=9"), 0);
    EXPECT_EQ(mode_of(""), static_cast<int>(0777 & ~umask));
    ::umask(before);
  }
}

}  // namespace
}  // namespace evio::test
