#include "tests/support/example_program.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tests/support/process.hpp"
#include "tests/support/sync.hpp"
#include "tests/support/timing.hpp"

namespace evio::test {
namespace {

std::string make_folder() {
  std::string folder = std::filesystem::temp_directory_path() / "evio-example-XXXXXX";
  return ::mkdtemp(folder.data()) != nullptr ? folder : std::string();
}

pid_t spawn(const std::string& path, const std::vector<std::string>& args, const std::string& folder, int output) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) ADD_FAILURE() << path << ": " << std::strerror(error);
  return error == 0 ? pid : -1;
}

// Not connected when there is no such socket.
UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

}  // namespace

Program::Program(const std::string& path, const std::vector<std::string>& args) : folder_(make_folder()) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) ADD_FAILURE() << "pipe2: " << std::strerror(errno);
  output_ = UniqueFd(ends[0]);
  const UniqueFd for_it(ends[1]);
  pid_ = spawn(path, args, folder_, for_it.get());
}

Program::~Program() {
  if (pid_ > 0) {
    signal(SIGTERM);
    EXPECT_EQ(wait(), 0) << written_;
  }
  std::filesystem::remove_all(folder_);
}

bool Program::wait_for_output() {
  pollfd poll{output_.get(), POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (::poll(&poll, 1, 1'000) <= 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    // GCC 12's ThreadSanitizer loses a signal that the kernel gives to a thread that is just starting.
    if (kThreadSanitizer && signalled_ != 0) signal(signalled_);
  }
  return true;
}

bool Program::read_more() {
  if (at_end_ || !wait_for_output()) return false;
  char buffer[4096];
  const auto got = ::read(output_.get(), buffer, sizeof(buffer));
  at_end_ = got <= 0;
  if (got > 0) written_.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

bool Program::writes(std::string_view text, std::size_t n) {
  std::size_t from = 0;
  while (n != 0) {
    const std::size_t found = written_.find(text, from);
    if (found != std::string::npos) {
      from = found + text.size();
      --n;
    } else if (!read_more()) {
      return false;
    }
  }
  return true;
}

bool Program::wait_for(std::string_view text) {
  if (writes(text)) return true;
  ADD_FAILURE() << "it did not write " << text << " but: " << written_;
  return false;
}

int Program::port() {
  constexpr std::string_view kBefore = " started on port ";
  if (!wait_for(" (loops: ")) return 0;
  return std::atoi(written_.c_str() + written_.find(kBefore) + kBefore.size());
}

Client Program::connect() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    ADD_FAILURE() << "connect: " << std::strerror(errno);
  }
  const int on = 1;  // what is sent in pieces is to arrive in pieces
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return Client(std::move(fd));
}

Client Program::connect_unix(const std::string& name) {
  port();  // when it says that, its sockets are there
  UniqueFd fd = connect_to(path(name));
  if (!fd.valid()) ADD_FAILURE() << "connect " << path(name) << ": " << std::strerror(errno);
  return Client(std::move(fd));
}

Client Program::connect_unix_unannounced(const std::string& name) {
  UniqueFd fd;
  EXPECT_TRUE(eventually([&] { return (fd = connect_to(path(name))).valid(); })) << path(name);
  return Client(std::move(fd));
}

std::size_t Program::figure(std::string_view name) const {
  for (const std::string& line : lines_of("/proc/" + std::to_string(pid_) + "/status")) {
    if (line.starts_with(name)) return std::strtoul(line.c_str() + name.size(), nullptr, 10) * 1024;
  }
  return 0;
}

void Program::stop_reading() {
  output_.reset();
  at_end_ = true;
}

void Program::signal(int number) {
  signalled_ = number;
  if (pid_ > 0) ::kill(pid_, number);
}

int Program::wait() {
  while (read_more()) {
  }
  if (!at_end_) signal(SIGKILL);
  int status = 0;
  if (pid_ < 0 || ::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Client twin(const Client& client) { return Client(UniqueFd(::fcntl(client.fd(), F_DUPFD_CLOEXEC, 0))); }

}  // namespace evio::test
