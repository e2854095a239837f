#include "tests/stress/crowd.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "tests/support/client.hpp"
#include "tests/support/timing.hpp"
#include "tests/support/unique_fd.hpp"

namespace evio::test {
namespace {

constexpr const char* kMark = "--crowd";

// So much of each client is on its way at once: with ten thousand of them all of it fits the memory the system gives
// to sockets.
constexpr std::size_t kPiece = std::size_t{16} * 1024;

bool failed(const char* what) {
  std::fprintf(stderr, "crowd: %s: %s\n", what, std::strerror(errno));
  return false;
}

bool wrong(const char* what) {
  std::fprintf(stderr, "crowd: %s\n", what);
  return false;
}

// Where to connect to: a port of 127.0.0.1 or a path.
UniqueFd connect_to(const std::string& where) {
  if (where.starts_with('/')) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    where.copy(address.sun_path, sizeof(address.sun_path) - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? std::move(fd)
                                                                                            : UniqueFd();
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(where)));
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ? std::move(fd) : UniqueFd();
}

// One client: sends its text piece by piece and compares what comes back.
class Talker {
 public:
  Talker(UniqueFd fd, std::string_view text) : fd_(std::move(fd)), text_(text) {}

  int fd() const { return fd_.get(); }
  bool done() const { return received_ == text_.size(); }

  // As far as the socket lets it. False when the connection failed or another text came back.
  bool talk() {
    for (bool moved = true; moved && !done();) {
      moved = false;
      if (!send(moved) || !receive(moved)) return false;
    }
    return true;
  }

 private:
  bool send(bool& moved) {
    const std::size_t end = std::min(text_.size(), received_ / kPiece * kPiece + kPiece);
    if (sent_ == end) return true;
    const auto sent = ::send(fd(), text_.data() + sent_, end - sent_, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || failed("send");
    sent_ += static_cast<std::size_t>(sent);
    moved = true;
    return true;
  }

  bool receive(bool& moved) {
    std::array<char, kPiece> buffer;
    const auto got = ::recv(fd(), buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN || failed("recv");
    if (got == 0) return wrong("the server has ended a connection");
    const std::string_view echo(buffer.data(), static_cast<std::size_t>(got));
    if (received_ + echo.size() > sent_ || text_.substr(received_, echo.size()) != echo) {
      return wrong("what came back is not what was sent");
    }
    received_ += echo.size();
    moved = true;
    return true;
  }

  UniqueFd fd_;
  std::string_view text_;
  std::size_t sent_ = 0;
  std::size_t received_ = 0;
};

// Connects all of them. Client i sends what begins at byte i of `text`.
bool connect_all(const std::string& where, const Crowd& crowd, std::string_view text, std::vector<Talker>& talkers) {
  talkers.reserve(crowd.clients);
  for (std::size_t i = 0; i != crowd.clients; ++i) {
    UniqueFd fd = connect_to(where);
    if (!fd.valid() || ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return failed("connect");
    talkers.emplace_back(std::move(fd), text.substr(i, crowd.bytes));
  }
  return true;
}

bool talk_all(std::vector<Talker>& talkers) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  for (Talker& talker : talkers) {
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(EPOLLIN) | static_cast<std::uint32_t>(EPOLLOUT) |
                   static_cast<std::uint32_t>(EPOLLET);
    event.data.ptr = &talker;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, talker.fd(), &event) != 0) return failed("epoll_ctl");
  }
  std::array<epoll_event, 256> events{};
  for (std::size_t done = 0; done != talkers.size();) {
    const int count =
        ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), static_cast<int>(kPatience.count()));
    if (count == 0) return wrong("nothing comes back any more");
    for (int i = 0; i < count; ++i) {
      Talker& talker = *static_cast<Talker*>(events.at(static_cast<std::size_t>(i)).data.ptr);
      if (talker.done()) continue;
      if (!talker.talk()) return false;
      if (talker.done()) ++done;
    }
  }
  return true;
}

}  // namespace

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

pid_t start_crowd(const Addr& server, const Crowd& crowd) {
  std::string where = server.network() == "unix" ? server.path() : std::to_string(server.port());
  std::string clients = std::to_string(crowd.clients);
  std::string bytes = std::to_string(crowd.bytes);
  std::string program = "/proc/self/exe";
  std::string mark = kMark;
  std::array<char*, 6> arguments{program.data(), mark.data(), where.data(), clients.data(), bytes.data(), nullptr};
  pid_t child = -1;
  return ::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ) == 0 ? child : -1;
}

bool crowd_succeeded(pid_t crowd) {
  int status = -1;
  while (::waitpid(crowd, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

int run_crowd(int argc, char** argv) {
  if (argc != 5 || std::string_view(argv[1]) != kMark) return -1;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is ended leaves no crowd behind
  const Crowd crowd{std::stoul(argv[3]), std::stoul(argv[4])};
  const std::string text = pattern(crowd.clients + crowd.bytes);
  std::vector<Talker> talkers;
  return connect_all(argv[2], crowd, text, talkers) && talk_all(talkers) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace evio::test
